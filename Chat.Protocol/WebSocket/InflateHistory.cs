namespace Chat.Protocol.WebSocket;

/// <summary>
/// The last 32 KiB that one sender with context takeover has sent: what its next message may refer to (RFC 7692 section 7.2).
/// Takes memory with the first message, as much as was sent, and at most that. One thread at a time.
/// </summary>
public sealed class InflateHistory
{
    /// <summary>The largest window there is.</summary>
    public const int BytesMax = 1 << Deflater.WindowBitsMax;

    private byte[] _bytes = [];
    private int _length;

    public ReadOnlySpan<byte> Window => _bytes.AsSpan(0, _length);

    public void Add(ReadOnlySpan<byte> message)
    {
        ReadOnlySpan<byte> newest = message[^Math.Min(message.Length, BytesMax)..];
        int kept = Math.Min(_length, BytesMax - newest.Length);
        if (_bytes.Length < kept + newest.Length)
        {
            byte[] larger = new byte[Math.Min(BytesMax, Math.Max(256, (kept + newest.Length) * 2))];
            Window.CopyTo(larger);
            _bytes = larger;
        }

        _bytes.AsSpan(_length - kept, kept).CopyTo(_bytes);
        newest.CopyTo(_bytes.AsSpan(kept));
        _length = kept + newest.Length;
    }
}
