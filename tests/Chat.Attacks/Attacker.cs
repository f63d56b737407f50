using System.Net;
using System.Net.Sockets;

namespace Chat.Attacks;

/// <summary>One attacker: whom it attacks, where it writes down what happens, and for how long.</summary>
internal sealed class Attacker(AttackTarget target, Tally tally, int number, CancellationToken stop)
{
    /// <summary>
    /// Attackers come from many addresses, of which each may have some connections: on Linux all of 127.0.0.0/8 is this machine.
    /// The honest clients use 127.0.0.1.
    /// </summary>
    private const int Addresses = 50;

    /// <summary>
    /// A busy server on a busy machine may be this late with what it has to do at once; later than that is an answer that does not come.
    /// </summary>
    private const int GraceMs = 5000;

    /// <summary>Before another try to connect.</summary>
    private const int RetryMs = 10;

    public AttackTarget Target => target;

    public Tally Tally => tally;

    public CancellationToken Stop => stop;

    public Random Random { get; } = new(number + tally.Name.GetHashCode(StringComparison.Ordinal));

    public string Token => target.Tokens[number % target.Tokens.Count];

    /// <summary>How long the server may keep somebody who is slower than it allows.</summary>
    public int PatienceMs => target.TimeoutMs + GraceMs;

    /// <summary>Lets time pass, which is a part of the attack: its pace, or how long it keeps something up. Not for what can be waited for.</summary>
    /// <exception cref="OperationCanceledException">The attack is over.</exception>
    public Task PauseAsync(int ms) => Task.Delay(ms, stop);

    public Task<RawSocket> ConnectAsync(int receiveBufferBytes = 0) => ConnectAsync(Random.Next(Addresses), receiveBufferBytes);

    /// <exception cref="OperationCanceledException">The attack is over.</exception>
    public async Task<RawSocket> ConnectAsync(int address, int receiveBufferBytes)
    {
        while (true)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                if (receiveBufferBytes > 0)
                {
                    socket.ReceiveBufferSize = receiveBufferBytes;
                }

                if (OperatingSystem.IsLinux())
                {
                    socket.Bind(new IPEndPoint(new IPAddress([127, 0, 1, (byte)(address + 1)]), 0));
                }

                await socket.ConnectAsync(target.Server, stop);
                return new RawSocket(socket, stop);
            }
            catch (SocketException)
            {
                socket.Dispose(); // Its backlog is full, or our own ports are used up.
                tally.WasRefused();
                await PauseAsync(RetryMs);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    /// <summary>A session in a room (or in none: 0), from which nothing has been read; null when the server would not have it.</summary>
    public async Task<RawSocket?> EnterAsync(long room, string fields = "", int receiveBufferBytes = 0)
    {
        RawSocket socket = await ConnectAsync(receiveBufferBytes);
        await socket.TrySendAsync(Requests.Handshake(room == 0 ? "/ws" : $"/ws/{room}", Token, fields));
        int status = await socket.ReadStatusAsync();
        if (status == 101)
        {
            return socket;
        }

        socket.Dispose();
        Expect(IsRefusal(status), $"a handshake was answered with {status}");
        tally.WasRefused();
        return null;
    }

    /// <summary>No answer at all, too late, too many: what anybody may be told under attack.</summary>
    public static bool IsRefusal(int status) => status is 0 or 408 or 429 or 503;

    public void Expect(bool holds, string otherwise)
    {
        if (!holds)
        {
            tally.Violated(otherwise);
        }
    }
}
