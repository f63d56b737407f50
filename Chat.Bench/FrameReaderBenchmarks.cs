using System.Net.WebSockets;
using Chat.Protocol.WebSocket;

namespace Chat.Bench;

/// <summary>
/// Masked text frames of 128 bytes that lie in one buffer; one operation is one frame: header, unmasking, UTF-8. The
/// baseline is the runtime's WebSocket over a stream that always has the next bytes.
/// </summary>
[MemoryDiagnoser]
public class FrameReaderBenchmarks : IDisposable
{
    private const int Frames = 512;
    private const int PayloadBytes = 128;

    private readonly byte[] _input = new byte[Frames * (int)FrameWriter.MaskedFrameBytes(PayloadBytes)];
    private readonly byte[] _scratch = new byte[64 * 1024];
    private MessageReader _reader = new(FrameSender.Client, 64 * 1024);
    private WebSocket _runtime = null!;

    [GlobalSetup]
    public void SetUp()
    {
        var random = new Random(1);
        byte[] payload = new byte[PayloadBytes];
        payload.AsSpan().Fill((byte)'x');
        int written = 0;
        for (int i = 0; i < Frames; i++)
        {
            written += FrameWriter.WriteMasked(_input.AsSpan(written), Opcode.Text, payload, (uint)random.Next());
        }

        _runtime = WebSocket.CreateFromStream(new RepeatingStream(_input), new WebSocketCreationOptions { IsServer = true });
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Frames)]
    public async Task<int> ManagedWebSocket()
    {
        int bytes = 0;
        for (int i = 0; i < Frames; i++)
        {
            bytes += (await _runtime.ReceiveAsync(_scratch.AsMemory(), CancellationToken.None)).Count;
        }

        return bytes;
    }

    [Benchmark(OperationsPerInvoke = Frames)]
    public int Messages()
    {
        int bytes = 0;
        ReadOnlySpan<byte> input = _input;
        while (_reader.Read(input, _scratch, out int consumed, out _, out ReadOnlySpan<byte> payload, out _) == ReadStatus.Text)
        {
            bytes += payload.Length;
            input = input[consumed..];
        }

        return bytes;
    }

    [Benchmark(OperationsPerInvoke = Frames)]
    public int Headers()
    {
        int count = 0;
        ReadOnlySpan<byte> input = _input;
        while (FrameReader.TryReadHeader(input, FrameSender.Client, false, 64 * 1024, out FrameHeader header, out _))
        {
            count++;
            input = input[(header.HeaderBytes + header.PayloadLength)..];
        }

        return count;
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _reader.Dispose();
        _runtime.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives the same bytes again and again; a read never waits.</summary>
    private sealed class RepeatingStream(byte[] bytes) : Stream
    {
        private int _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            int count = Math.Min(buffer.Length, bytes.Length - _position);
            bytes.AsSpan(_position, count).CopyTo(buffer);
            _position = (_position + count) % bytes.Length;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            new(Read(buffer.Span));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count)
        {
        }
    }
}
