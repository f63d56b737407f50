using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Chat.Server.Transport;

namespace Chat.Server.Tests.Transport;

public sealed class IoUringTests
{
    private static IoUring Create(int entries)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "io_uring is Linux's");
        IoUring? ring = IoUring.TryCreate(entries, out string reason);
        Assert.SkipWhen(ring is null, reason);
        return ring!;
    }

    private static (Socket Sender, Socket Receiver) Pair()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        var receiver = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 4096 };
        receiver.Connect(listener.LocalEndPoint!);
        Socket sender = listener.Accept();
        sender.SendBufferSize = 4096;
        return (sender, receiver);
    }

    private static unsafe List<(int Token, int Result)> Send(IoUring ring, Socket socket, byte[] pinned, int token)
    {
        ring.QueueSend((int)socket.Handle, (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0), pinned.Length, token);
        ring.Submit();
        return Completions(ring);
    }

    private static List<(int Token, int Result)> Completions(IoUring ring)
    {
        var completions = new List<(int, int)>();
        while (ring.TryTakeCompletion(out int token, out int result))
        {
            completions.Add((token, result));
        }

        return completions;
    }

    [Fact]
    public void A_send_that_was_taken_whole_leaves_no_completion()
    {
        using IoUring ring = Create(8);
        (Socket sender, Socket receiver) = Pair();
        using (sender)
        using (receiver)
        {
            Assert.Empty(Send(ring, sender, GC.AllocateArray<byte>(100, pinned: true), token: 1));
            Assert.Equal(100, receiver.Receive(new byte[200]));
            Assert.Equal(0, ring.Queued);
        }
    }

    [Fact]
    public void A_short_send_tells_how_much_was_taken_until_nothing_is()
    {
        using IoUring ring = Create(8);
        (Socket sender, Socket receiver) = Pair();
        using (sender)
        using (receiver)
        {
            byte[] bytes = GC.AllocateArray<byte>(1 << 20, pinned: true);
            (int token, int sent) = Assert.Single(Send(ring, sender, bytes, token: 7));
            Assert.Equal(7, token);
            Assert.InRange(sent, 1, bytes.Length - 1);
            int result = sent;
            for (int more = 8; result != -Libc.EAGAIN; more++) // The kernel may find room once more, but not for long.
            {
                Assert.InRange(more, 8, 100);
                (token, result) = Assert.Single(Send(ring, sender, bytes, more));
                Assert.Equal(more, token);
                sent += Math.Max(result, 0);
            }

            sender.Shutdown(SocketShutdown.Send);
            int received = 0;
            byte[] buffer = new byte[64 * 1024];
            for (int count; (count = receiver.Receive(buffer)) > 0;)
            {
                received += count;
            }

            Assert.Equal(sent, received); // Not a byte more or less than it said.
        }
    }

    [Fact]
    public void A_send_to_a_peer_that_reset_fails_and_those_beside_it_do_not()
    {
        using IoUring ring = Create(8);
        (Socket sender, Socket receiver) = Pair();
        (Socket dead, Socket gone) = Pair();
        using (sender)
        using (receiver)
        using (dead)
        {
            gone.LingerState = new LingerOption(true, 0);
            gone.Dispose();
            Assert.True(dead.Poll(TimeSpan.FromSeconds(30), SelectMode.SelectRead)); // The reset has come.
            byte[] bytes = GC.AllocateArray<byte>(10, pinned: true);
            unsafe
            {
                byte* start = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(bytes, 0);
                ring.QueueSend((int)dead.Handle, start, bytes.Length, token: 1);
                ring.QueueSend((int)sender.Handle, start, bytes.Length, token: 2);
                ring.QueueSend((int)dead.Handle, start, bytes.Length, token: 3);
            }

            ring.Submit();
            List<(int Token, int Result)> completions = Completions(ring);
            Assert.Equal([1, 3], completions.Select(static completion => completion.Token).Order());
            Assert.All(completions, static completion => Assert.True(completion.Result < 0 && completion.Result != -Libc.EAGAIN));
            Assert.Equal(10, receiver.Receive(new byte[20]));
        }
    }

    [Fact]
    public void Every_entry_can_fail_at_once_and_again()
    {
        using IoUring ring = Create(64);
        byte[] bytes = GC.AllocateArray<byte>(10, pinned: true);
        for (int round = 0; round < 5; round++)
        {
            unsafe
            {
                for (int token = 0; token < ring.Capacity; token++)
                {
                    ring.QueueSend(fd: -1, (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(bytes, 0), bytes.Length, token);
                }
            }

            Assert.Equal(ring.Capacity, ring.Queued);
            ring.Submit();
            Assert.Equal(Enumerable.Range(0, ring.Capacity), Completions(ring).Select(static completion => completion.Token).Order());
        }
    }
}
