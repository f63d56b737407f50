using System.Buffers;
using Chat.Protocol;
using Chat.Protocol.Messages;
using Chat.Protocol.WebSocket;

namespace Chat.Server.Rooms;

/// <summary>
/// The newest events of one room in compressed form (RFC 7692), framed: made once, by the publisher, for all members that take
/// it, whichever shard they are on. What is not here (any more) goes out as the ring has it, which a receiver takes as well.
/// No context is taken over, so that one form suits everybody.
/// </summary>
internal sealed class CompressedEvents
{
    /// <summary>
    /// The window of the one form there is: suits all who agreed to as much or more. 4 KiB hold an event of usual length, and are what
    /// the Python client asks for; browsers leave it to the server.
    /// </summary>
    public const int WindowBits = 12;

    /// <summary>How far a shard may lag behind and still find the form: a burst, not a history.</summary>
    private const int EventsKept = 64;

    private readonly CompressedEvent?[] _newest = new CompressedEvent?[EventsKept];
    private long _lastSeq;

    [ThreadStatic]
    private static byte[]? _scratch;

    /// <summary>The newest event that has a compressed form; 0 for none. Any thread.</summary>
    public long LastSeq => Volatile.Read(ref _lastSeq);

    /// <summary>Adds the form of an event, if that is shorter. Any publisher, after it has its seq; the parts are those given to the ring.</summary>
    public void Add(long seq, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> suffix)
    {
        int payloadBytesMax = prefix.Length + MessageEvent.SeqBytesMax + suffix.Length;
        int compressedBytesMax = FrameWriter.HeaderBytesMax + Deflater.BytesMax(payloadBytesMax);
        byte[] scratch = _scratch is { } kept && kept.Length >= payloadBytesMax + compressedBytesMax
            ? kept
            : _scratch = new byte[payloadBytesMax + compressedBytesMax];
        prefix.CopyTo(scratch);
        int digits = MessageEvent.WriteSeq(scratch.AsSpan(prefix.Length), seq);
        suffix.CopyTo(scratch.AsSpan(prefix.Length + digits));
        int payloadLength = prefix.Length + digits + suffix.Length;

        Span<byte> compressed = scratch.AsSpan(payloadBytesMax);
        int length = Deflater.OfThread(WindowBits).Compress(scratch.AsSpan(0, payloadLength), compressed, keepContext: false);
        if (length >= payloadLength)
        {
            return;
        }

        byte[] frame = new byte[FrameWriter.HeaderBytes(length) + length];
        compressed[..length].CopyTo(frame.AsSpan(FrameWriter.WriteCompressedHeader(frame, Opcode.Text, length)));
        Volatile.Write(ref _newest[seq % EventsKept], new CompressedEvent(seq, frame));
        for (long last = LastSeq; last < seq; last = LastSeq)
        {
            Interlocked.CompareExchange(ref _lastSeq, seq, last);
        }
    }

    /// <summary>Gives the memory back. Any thread; who looks meanwhile finds some or none.</summary>
    public void Clear()
    {
        for (int i = 0; i < EventsKept; i++)
        {
            Volatile.Write(ref _newest[i], null);
        }
    }

    /// <summary>
    /// Writes whole framed events with the compressed form in place of those that have one. False when none has: what was
    /// written is of no use then. Any thread.
    /// </summary>
    /// <param name="first">A range of the ring, at its wrap in two spans.</param>
    /// <param name="second">The other span.</param>
    /// <param name="seq">Of the range's first event.</param>
    /// <param name="output">Where the events go.</param>
    public bool TryWrite(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, long seq, ArrayBufferWriter<byte> output)
    {
        if (LastSeq < seq)
        {
            return false;
        }

        bool hasAny = false;
        var range = new EventRange(first, second);
        for (; range.TryGetNext(out int length); seq++)
        {
            CompressedEvent? compressed = Volatile.Read(ref _newest[seq % EventsKept]);
            if (compressed is not null && compressed.Seq == seq)
            {
                output.Write(compressed.Frame);
                range.Skip(length);
                hasAny = true;
            }
            else
            {
                range.Write(length, output);
            }
        }

        return hasAny;
    }

    private sealed record CompressedEvent(long Seq, byte[] Frame);

    /// <summary>Walks the frames of a range, any byte of which may be the last before the wrap.</summary>
    private ref struct EventRange(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        private ReadOnlySpan<byte> _first = first;
        private ReadOnlySpan<byte> _second = second;

        /// <summary>Length of the next whole frame.</summary>
        public readonly bool TryGetNext(out int length)
        {
            Span<byte> header = stackalloc byte[FrameWriter.HeaderBytesMax];
            int fromFirst = Math.Min(header.Length, _first.Length);
            _first[..fromFirst].CopyTo(header);
            _second[..Math.Min(header.Length - fromFirst, _second.Length)].CopyTo(header[fromFirst..]);
            length = 0;
            if (_first.IsEmpty && _second.IsEmpty)
            {
                return false;
            }

            bool isRead = FrameReader.TryReadHeader(header, FrameSender.Server, false, int.MaxValue, out FrameHeader frame, out _);
            Invariant.Require(isRead);
            length = frame.HeaderBytes + frame.PayloadLength;
            return true;
        }

        public void Skip(int length)
        {
            int fromFirst = Math.Min(length, _first.Length);
            _first = _first[fromFirst..];
            _second = _second[(length - fromFirst)..];
        }

        public void Write(int length, ArrayBufferWriter<byte> output)
        {
            int fromFirst = Math.Min(length, _first.Length);
            output.Write(_first[..fromFirst]);
            output.Write(_second[..(length - fromFirst)]);
            Skip(length);
        }
    }
}
