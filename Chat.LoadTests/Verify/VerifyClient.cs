using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;
using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Verify;

/// <summary>
/// A client that never gives up: it connects, resumes, sends again what was not answered, and does it all over when the connection ends.
/// </summary>
internal sealed class VerifyClient
{
    /// <summary>Faster than docs/protocol.md asks of apps, because the next fault is to find the clients back.</summary>
    private const int BackOffMsMin = 10;
    private const int BackOffMsMax = 500;

    /// <summary>One in so many cuts, a client stays away so long that it has to page what it missed.</summary>
    private const int CutsPerAbsence = 200;
    private const int AbsenceMsMax = 5000;

    private readonly VerifyContext _context;
    private readonly Account _account;
    private readonly bool _isOneRoom;
    private readonly Random _random;
    private readonly Publishing _publishing;
    private int _failures;

    /// <param name="context">What all clients share.</param>
    /// <param name="account">Who it is.</param>
    /// <param name="ledger">What it knows. With one room it uses /ws/{room_id}, with more /ws and subscriptions.</param>
    /// <param name="publishing">How fast it makes messages.</param>
    /// <param name="random">Its own choices.</param>
    public VerifyClient(VerifyContext context, Account account, ClientLedger ledger, Publishing publishing, Random random)
    {
        _context = context;
        _account = account;
        _publishing = publishing;
        _random = random;
        Ledger = ledger;
        _isOneRoom = ledger.Rooms.Count() == 1;
    }

    public ClientLedger Ledger { get; }

    /// <summary>Runs until it is cancelled; then it ends without an exception.</summary>
    /// <exception cref="CannotRunException">The server refuses the client for good.</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            int delayMs = await ConnectOnceAsync(cancellation);
            await Task.Delay(delayMs, cancellation).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    /// <summary>Returns how long to wait before the next connection.</summary>
    private async Task<int> ConnectOnceAsync(CancellationToken cancellation)
    {
        await using var connection = new ClientConnection(_context, _account, Ledger, _isOneRoom, _random, _publishing);
        try
        {
            await connection.RunAsync(cancellation);
        }
        catch (Exception exception) when (exception is InvalidDataException or JsonException or FormatException or KeyNotFoundException)
        {
            _context.Findings.Add(Fault.Altered, $"{exception.Message} ({exception.GetType().Name})");
        }
        catch (Exception exception) when (exception is IOException or SocketException or AuthenticationException or HttpRequestException
            or OperationCanceledException or ObjectDisposedException)
        {
            // Cut, or the server is away, or was: the usual cases here.
        }

        if (connection.WasCut)
        {
            _context.Cuts.Carried();
            _failures = 0;
            return _random.Next(CutsPerAbsence) == 0 ? _random.Next(AbsenceMsMax) : 0;
        }

        _failures = connection.HasBeenWelcomed ? 0 : _failures + 1;
        return _random.Next((int)Math.Min(BackOffMsMax, BackOffMsMin * Math.Pow(2, _failures)));
    }
}
