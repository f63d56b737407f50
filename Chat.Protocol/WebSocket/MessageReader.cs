using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Unicode;

namespace Chat.Protocol.WebSocket;

/// <summary>What <see cref="MessageReader.Read"/> found.</summary>
public enum ReadStatus : byte
{
    /// <summary>No item is complete. Call again when more bytes have arrived; keep what was not consumed.</summary>
    NeedMore,

    /// <summary>A whole text message, valid UTF-8.</summary>
    Text,

    /// <summary>A whole binary message.</summary>
    Binary,

    /// <summary>A ping: answer with a pong that carries the same payload (RFC 6455 section 5.5.3).</summary>
    Ping,

    /// <summary>A pong, asked for or not.</summary>
    Pong,

    /// <summary>
    /// A close frame; its payload is empty or a valid code and reason: <see cref="MessageReader.ReadClose"/>.
    /// Nothing may be read after it.
    /// </summary>
    Close,

    /// <summary>The peer broke the protocol: send the close code of the error and read no more.</summary>
    Refused,
}

/// <summary>
/// Turns received bytes, cut anywhere, into messages and control frames (RFC 6455 sections 5.4, 5.5 and 6.2).
/// It does not answer pings or closes: that is for the session.
/// <para>
/// Call <see cref="Read"/> until it answers <see cref="ReadStatus.NeedMore"/>, each time with what was not consumed before;
/// at the end, <see cref="Dispose"/>. One thread at a time. What a call does not consume is at most
/// <see cref="UnconsumedBytesMax"/> bytes.
/// </para>
/// <para>
/// A mutable struct of 40 bytes so that a hundred thousand idle connections cost no object and no buffer each: keep it in a
/// field and do not copy it. A message that arrives whole in one frame is unmasked straight into the caller's scratch.
/// Only one that arrives in pieces, or compressed, takes a pooled buffer, which goes back with the next call.
/// </para>
/// </summary>
public struct MessageReader : IDisposable
{
    /// <summary>
    /// A header, or a control frame, is consumed only when all of it is there: at most this many bytes wait.
    /// Holding them back costs the caller nothing (they sit in its receive buffer) and saves a 131-byte buffer here.
    /// </summary>
    public const int UnconsumedBytesMax = 2 + sizeof(uint) + FrameReader.ControlPayloadBytesMax - 1;

    /// <summary>Scratch must hold at least a control frame's payload.</summary>
    public const int ScratchBytesMin = FrameReader.ControlPayloadBytesMax;

    // A sender that finds nothing to compress adds to a message: 5 bytes a block when it stores, a bit a byte when it does not look.
    // What a message may take on the wire is more than what it may be, by that.
    private const int CompressedBytesAdded = 64;

    // Small enough for a peer that opens fragments and waits, large enough that a typical cut message never grows it.
    private const int PieceBufferBytesMin = 256;

    // One reason wherever it is found: what a peer is told must not depend on how its bytes were cut.
    private const string TextIsNotUtf8 = "text message is not UTF-8";

    private readonly InflateHistory? _history;
    private byte[]? _pieces;
    private int _length;

    // The frame whose payload is arriving; nothing is arriving when _frameRemaining is 0.
    private int _frameRemaining;
    private uint _frameMaskingKey;
    private bool _frameFin;

    private readonly FrameSender _sender;
    private Opcode _messageOpcode;
    private bool _handedOut;
    private Compression _compression;
    private Utf8Validator _utf8;

    /// <param name="sender">Who sends what is read: a server reads from <see cref="FrameSender.Client"/>.</param>
    /// <param name="messageBytesMax">Limit for one message, all fragments together and inflated, in bytes; more is refused with 1009.</param>
    /// <param name="isDeflateAgreed">permessage-deflate was agreed: RSV1 on the first frame of a message says that it is compressed.</param>
    /// <param name="history">The sender's context when it takes that over from message to message; else null.</param>
    public MessageReader(FrameSender sender, int messageBytesMax, bool isDeflateAgreed = false, InflateHistory? history = null)
    {
        // Up to 1 GiB the pool hands out powers of two, which is what makes the buffer double as it grows.
        Invariant.Require(messageBytesMax is >= 0 and <= 1 << 30);
        _sender = sender;
        MessageBytesMax = messageBytesMax;
        _compression = isDeflateAgreed ? Compression.Agreed : Compression.None;
        _history = history;
    }

    /// <summary>Limit for one message, in bytes.</summary>
    public int MessageBytesMax { get; }

    [Flags]
    private enum Compression : byte
    {
        None = 0,

        /// <summary>Messages may come compressed.</summary>
        Agreed = 1,

        /// <summary>The message that is arriving in pieces is.</summary>
        Message = 2,
    }

    /// <summary>
    /// Reads up to one item from the start of <paramref name="input"/>.
    /// </summary>
    /// <param name="input">Received bytes that no call has consumed yet; may be empty.</param>
    /// <param name="scratch">
    /// At least <see cref="ScratchBytesMin"/> bytes, not overlapping <paramref name="input"/>. A message larger than it still
    /// works, by way of a pooled buffer. One scratch may serve all readers of a thread.
    /// </param>
    /// <param name="consumed">Bytes of <paramref name="input"/> that are done with, also when more is needed.</param>
    /// <param name="continuations">Continuation frames among what was consumed: they cost work and may bring no byte.</param>
    /// <param name="payload">The item's payload, unmasked. Valid until the next call on this reader or the next use of the scratch.</param>
    /// <param name="error">Set when the answer is <see cref="ReadStatus.Refused"/>: close code 1002, 1007 or 1009.</param>
    public ReadStatus Read(
        ReadOnlySpan<byte> input,
        Span<byte> scratch,
        out int consumed,
        out int continuations,
        out ReadOnlySpan<byte> payload,
        out ProtocolError error)
    {
        Invariant.Require(scratch.Length >= ScratchBytesMin);
        if (_handedOut)
        {
            Release();
        }

        consumed = 0;
        continuations = 0;
        payload = default;
        error = default;
        while (true)
        {
            if (_frameRemaining == 0)
            {
                ReadOnlySpan<byte> rest = input[consumed..];
                bool rsv1Allowed = _compression != Compression.None;
                if (!FrameReader.TryReadHeader(rest, _sender, rsv1Allowed, PayloadBytesMax(rest), out FrameHeader header, out error))
                {
                    return error.IsNone ? ReadStatus.NeedMore : Refuse();
                }

                bool isWhole = rest.Length - header.HeaderBytes >= header.PayloadLength;
                if (header.IsControl)
                {
                    if (!isWhole)
                    {
                        return ReadStatus.NeedMore;
                    }

                    consumed += header.HeaderBytes + header.PayloadLength;
                    payload = Unmask(header, rest, scratch);
                    return ReadControl(header.Opcode, payload, out error);
                }

                if (!IsInOrder(header.Opcode, out error))
                {
                    return Refuse();
                }

                if (isWhole && header.Fin && _messageOpcode == Opcode.Continuation && !header.Rsv1 && header.PayloadLength <= scratch.Length)
                {
                    consumed += header.HeaderBytes + header.PayloadLength;
                    payload = Unmask(header, rest, scratch);
                    return ReadWhole(header.Opcode, payload, out error);
                }

                consumed += header.HeaderBytes;
                continuations += header.Opcode == Opcode.Continuation ? 1 : 0;
                BeginFrame(header);
            }

            int arrived = Math.Min(_frameRemaining, input.Length - consumed);
            if (!Append(input.Slice(consumed, arrived), out error))
            {
                return Refuse();
            }

            consumed += arrived;
            if (_frameRemaining != 0)
            {
                return ReadStatus.NeedMore;
            }

            if (_frameFin)
            {
                return (_compression & Compression.Message) == 0
                    ? EndMessage(out payload, out error)
                    : EndCompressed(scratch, out payload, out error);
            }
        }
    }

    /// <summary>
    /// Takes apart the payload of a <see cref="ReadStatus.Close"/> item. The code is 0 when the peer gave none
    /// (what an API reports as 1005); the reason is UTF-8 and points into <paramref name="payload"/>.
    /// </summary>
    public static ushort ReadClose(ReadOnlySpan<byte> payload, out ReadOnlySpan<byte> reason)
    {
        if (payload.Length < sizeof(ushort))
        {
            reason = default;
            return 0;
        }

        reason = payload[sizeof(ushort)..];
        return BinaryPrimitives.ReadUInt16BigEndian(payload);
    }

    /// <summary>
    /// Gives the pooled buffer back, if there is one. Payloads handed out before are no longer valid. May be called twice.
    /// </summary>
    public void Dispose() => Release();

    private static Span<byte> Unmask(scoped in FrameHeader header, scoped ReadOnlySpan<byte> frame, Span<byte> scratch)
    {
        ReadOnlySpan<byte> masked = frame.Slice(header.HeaderBytes, header.PayloadLength);
        Span<byte> payload = scratch[..header.PayloadLength];
        Masking.Unmask(masked, payload, header.MaskingKey, phase: 0);
        return payload;
    }

    private ReadStatus ReadWhole(Opcode opcode, ReadOnlySpan<byte> payload, out ProtocolError error)
    {
        error = default;
        if (opcode == Opcode.Binary)
        {
            return ReadStatus.Binary;
        }

        if (!Utf8.IsValid(payload))
        {
            error = NotUtf8(TextIsNotUtf8);
            return Refuse();
        }

        return ReadStatus.Text;
    }

    private ReadStatus ReadControl(Opcode opcode, ReadOnlySpan<byte> payload, out ProtocolError error)
    {
        error = default;
        if (opcode != Opcode.Close)
        {
            return opcode == Opcode.Ping ? ReadStatus.Ping : ReadStatus.Pong;
        }

        if (payload.Length == 1)
        {
            error = new ProtocolError(CloseCode.ProtocolError, "close payload of one byte", "RFC 6455 section 5.5.1");
        }
        else if (payload.Length >= sizeof(ushort) && !CloseCode.IsValidOnWire(ReadClose(payload, out _)))
        {
            error = new ProtocolError(CloseCode.ProtocolError, "close code may not be sent", "RFC 6455 section 7.4");
        }
        else if (payload.Length > sizeof(ushort) && !Utf8.IsValid(payload[sizeof(ushort)..]))
        {
            error = NotUtf8("close reason is not UTF-8");
        }

        return error.IsNone ? ReadStatus.Close : Refuse();
    }

    /// <summary>Fragments of one message come in order and are not mixed with another's (RFC 6455 section 5.4).</summary>
    private readonly bool IsInOrder(Opcode opcode, out ProtocolError error)
    {
        bool isInMessage = _messageOpcode != Opcode.Continuation;
        bool isContinuation = opcode == Opcode.Continuation;
        error = isInMessage == isContinuation
            ? default
            : new ProtocolError(
                CloseCode.ProtocolError,
                isInMessage ? "new message before the end of the last one" : "continuation without a message to continue",
                "RFC 6455 section 5.4");
        return error.IsNone;
    }

    /// <summary>What the frame at the start of <paramref name="rest"/> may bring for its message to stay within the limit.</summary>
    private readonly int PayloadBytesMax(ReadOnlySpan<byte> rest)
    {
        bool isCompressed = (_compression & Compression.Message) != 0
            || (_compression != Compression.None && !rest.IsEmpty && (rest[0] & FrameReader.Rsv1Bit) != 0);
        return (isCompressed ? MessageBytesMax + (MessageBytesMax >> 3) + CompressedBytesAdded : MessageBytesMax) - _length;
    }

    private void BeginFrame(in FrameHeader header)
    {
        _frameRemaining = header.PayloadLength;
        _frameMaskingKey = header.MaskingKey;
        _frameFin = header.Fin;
        if (header.Opcode != Opcode.Continuation)
        {
            _messageOpcode = header.Opcode;
            _compression |= header.Rsv1 ? Compression.Message : Compression.None;
            _utf8 = default;
        }
    }

    /// <summary>Takes payload bytes of the current frame. False when a text message cannot be UTF-8 any more.</summary>
    private bool Append(ReadOnlySpan<byte> masked, out ProtocolError error)
    {
        error = default;
        if (masked.IsEmpty)
        {
            return true;
        }

        EnsureCapacity(_length + masked.Length);
        Span<byte> piece = _pieces.AsSpan(_length, masked.Length);
        Masking.Unmask(masked, piece, _frameMaskingKey, phase: 0);
        _frameMaskingKey = Masking.Advance(_frameMaskingKey, masked.Length);
        _frameRemaining -= masked.Length;
        _length += masked.Length;
        if (_messageOpcode == Opcode.Text && (_compression & Compression.Message) == 0 && !_utf8.Push(piece))
        {
            error = NotUtf8(TextIsNotUtf8);
            return false;
        }

        return true;
    }

    private ReadStatus EndMessage(out ReadOnlySpan<byte> payload, out ProtocolError error)
    {
        Debug.Assert(_length <= MessageBytesMax);
        payload = default;
        error = default;
        if (_messageOpcode == Opcode.Text && !_utf8.IsComplete)
        {
            error = NotUtf8(TextIsNotUtf8);
            return Refuse();
        }

        ReadStatus status = _messageOpcode == Opcode.Text ? ReadStatus.Text : ReadStatus.Binary;
        payload = _pieces.AsSpan(0, _length);
        _handedOut = true;
        return status;
    }

    /// <summary>
    /// Inflates a message when all of it is there, so that no inflater is tied to a connection while a slow peer sends; a
    /// compressed message is thus checked for UTF-8 at its end.
    /// </summary>
    private ReadStatus EndCompressed(Span<byte> scratch, out ReadOnlySpan<byte> payload, out ProtocolError error)
    {
        InflateStatus inflated = Inflater.OfThread.Inflate(
            _pieces.AsSpan(0, _length), scratch, MessageBytesMax, _history, out byte[]? rented, out int length);
        Opcode opcode = _messageOpcode;
        Release();
        _pieces = rented;
        _length = length;
        _handedOut = true;
        if (inflated == InflateStatus.Done)
        {
            payload = rented is null ? scratch[..length] : rented.AsSpan(0, length);
            return ReadWhole(opcode, payload, out error);
        }

        payload = default;
        error = inflated == InflateStatus.TooBig
            ? FrameReader.MessageTooBig
            : new ProtocolError(CloseCode.InvalidPayloadData, "compressed message cannot be inflated", "RFC 7692 section 7.2.2");
        return Refuse();
    }

    /// <summary>
    /// Grows with the bytes that arrived, never with the length that a header promised: a header costs the peer 14 bytes and
    /// must not cost us megabytes. The pool hands out powers of two, so asking for one byte more doubles the buffer: a million
    /// one-byte fragments stay linear in time and within twice the message in memory.
    /// </summary>
    private void EnsureCapacity(int bytes)
    {
        if (_pieces is null || _pieces.Length < bytes)
        {
            Grow(bytes);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int bytes)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(bytes, PieceBufferBytesMin));
        if (_pieces is not null)
        {
            _pieces.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_pieces);
        }

        _pieces = larger;
    }

    private ReadStatus Refuse()
    {
        Release();
        return ReadStatus.Refused;
    }

    private void Release()
    {
        if (_pieces is not null)
        {
            ArrayPool<byte>.Shared.Return(_pieces);
            _pieces = null;
        }

        _length = 0;
        _frameRemaining = 0;
        _messageOpcode = Opcode.Continuation;
        _compression &= ~Compression.Message;
        _handedOut = false;
    }

    private static ProtocolError NotUtf8(string reason) => new(CloseCode.InvalidPayloadData, reason, "RFC 6455 section 8.1");
}
