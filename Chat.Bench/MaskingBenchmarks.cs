using Chat.Protocol.WebSocket;

namespace Chat.Bench;

/// <summary>Unmasking on the way out of the receive buffer, against a plain copy of as many bytes.</summary>
[MemoryDiagnoser]
public class MaskingBenchmarks
{
    private const uint Key = 0x37FA213D;

    private byte[] _source = [];
    private byte[] _destination = [];

    [Params(16, 128, 1024, 4096, 65_536)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _source = new byte[Bytes];
        _destination = new byte[Bytes];
        new Random(1).NextBytes(_source);
    }

    [Benchmark(Baseline = true)]
    public void Copy() => _source.AsSpan().CopyTo(_destination);

    [Benchmark]
    public void Unmask() => Masking.Unmask(_source, _destination, Key, phase: 0);
}
