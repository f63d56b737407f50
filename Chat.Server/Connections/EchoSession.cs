using System.Buffers;
using Chat.Protocol.WebSocket;
using Chat.Server.Rooms;

namespace Chat.Server.Connections;

/// <summary>
/// The session of <c>/conformance/echo</c>: sends every message back, so that test suites run against the reader, the writer and the
/// close handshake that serve chat. It has no room. With permessage-deflate it takes over contexts as the client asks, and
/// then holds them as long as it lives.
/// </summary>
internal sealed class EchoSession : WebSocketSession
{
    /// <summary>The largest message that suites send (Autobahn's 9.1.6 and 9.2.6).</summary>
    private const int EchoBytesMax = 16 * 1024 * 1024;

    /// <summary>A suite may send some of the largest messages before it reads. Beyond that it is a slow consumer.</summary>
    private const int EchoBacklogBytesMax = 4 * EchoBytesMax;

    private static readonly Sender Nobody = new(0, "");

    private readonly DeflateParameters? _deflate;
    private Deflater? _deflater;

    public EchoSession(Shard shard, Outlet outlet, SessionServices services, DeflateParameters? deflate)
        : base(shard, outlet, Nobody, DateTimeOffset.MaxValue, services, Reader(deflate))
    {
        _deflate = deflate;
    }

    /// <summary>Suites send as fast and as much as they like.</summary>
    protected override RateLimits? Rates => null;

    public override void Stop()
    {
        _deflater?.Dispose();
        _deflater = null;
        base.Stop();
    }

    public override void CheckBacklog()
    {
        if (Outlet.BacklogBytes > EchoBacklogBytesMax && IsOpen)
        {
            Outlet.DropBacklog();
            Close(CloseCode.SlowConsumer, "slow consumer");
        }
    }

    protected override void Begin(ResumePoint resume)
    {
        // No welcome: the first word is the client's.
    }

    protected override void ReceiveMessage(Opcode opcode, ReadOnlySpan<byte> payload, int bytes)
    {
        byte[] frame = ArrayPool<byte>.Shared.Rent(FrameWriter.HeaderBytesMax + Deflater.BytesMax(payload.Length));
        int length = WriteFrame(frame, opcode, payload);
        Shard.Post(
            static (target, argument) =>
            {
                var (frame, length) = ((byte[], int))argument!;
                ((EchoSession)target).SendEcho(frame.AsSpan(0, length));
                ArrayPool<byte>.Shared.Return(frame);
            },
            this,
            (frame, length));
    }

    private static MessageReader Reader(DeflateParameters? deflate) => new(
        FrameSender.Client, EchoBytesMax, deflate is not null, deflate is { ClientNoContextTakeover: false } ? new InflateHistory() : null);

    private void SendEcho(ReadOnlySpan<byte> frame)
    {
        if (IsOpen)
        {
            Send(frame);
            CheckBacklog();
        }
    }

    private int WriteFrame(Span<byte> frame, Opcode opcode, ReadOnlySpan<byte> payload)
    {
        if (_deflate is { ServerWindowBits: >= Deflater.WindowBitsMin } parameters)
        {
            bool keepsContext = !parameters.ServerNoContextTakeover;
            Deflater deflater = keepsContext
                ? _deflater ??= new Deflater(parameters.ServerWindowBits)
                : Deflater.OfThread(parameters.ServerWindowBits);

            // Behind the longest header, and then up to the one it gets: its length is known only afterwards.
            Span<byte> compressed = frame[FrameWriter.HeaderBytesMax..];
            int length = deflater.Compress(payload, compressed, keepsContext);
            if (keepsContext || length < payload.Length)
            {
                int headerBytes = FrameWriter.WriteCompressedHeader(frame, opcode, length);
                compressed[..length].CopyTo(frame[headerBytes..]);
                return headerBytes + length;
            }
        }

        return FrameWriter.WriteFrame(frame, opcode, payload);
    }
}
