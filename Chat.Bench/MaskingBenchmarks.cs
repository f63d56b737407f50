using Chat.Protocol.WebSocket;

namespace Chat.Bench;

/// <summary>Unmasking on the way out of the receive buffer, against a plain copy of as many bytes.</summary>
[MemoryDiagnoser]
public class MaskingBenchmarks
{
    private const uint Key = 0x37FA213D;

    /// <summary>
    /// Between a byte and where it goes to, beside whole pages: half a page. At none of it each load would wait for a store that only looks as if it were
    /// to the same place.
    /// </summary>
    private const int PagePartBytes = 2048;

    private const int PageBytes = 4096;

    private ArraySegment<byte> _source = [];
    private ArraySegment<byte> _destination = [];

    [Params(16, 128, 1024, 4096, 65_536)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        int destinationStart = ((Bytes + PageBytes - 1) / PageBytes * PageBytes) + PagePartBytes;
        ArraySegment<byte> memory = AlignedMemory.Allocate(destinationStart + Bytes);
        _source = memory[..Bytes];
        _destination = memory[destinationStart..];
        new Random(1).NextBytes(_source);
    }

    [Benchmark(Baseline = true)]
    public void Copy() => _source.AsSpan().CopyTo(_destination);

    [Benchmark]
    public void Unmask() => Masking.Unmask(_source, _destination, Key, phase: 0);
}
