using System.Buffers;
using System.Diagnostics;
using System.Text;

namespace Chat.Protocol.Http;

/// <summary>
/// One request line and its field lines, with their bytes in a buffer of its own: the input may be advanced as soon as
/// <see cref="RequestParser.TryParse"/> answers <see cref="ParseStatus.Complete"/>.
/// Reusable, one per connection, one thread at a time. Every span is valid until the next <see cref="Reset"/>,
/// <see cref="Dispose"/> or parse into the same head.
/// </summary>
public sealed class RequestHead : IDisposable
{
    // Most requests have 5 to 20 field lines; the array grows to the limit of the parser for the others.
    private const int FieldsInitial = 16;

    private byte[] _buffer = [];
    private FieldSlot[] _fields = new FieldSlot[FieldsInitial];

    public RequestMethod Method { get; internal set; }

    public ReadOnlySpan<byte> MethodName => Bytes(MethodSlice);

    /// <summary>The request-target as it was sent.</summary>
    public ReadOnlySpan<byte> Target => Bytes(TargetSlice);

    /// <summary>
    /// The path of an origin-form or absolute-form target, never empty and beginning with '/', or "*" (OPTIONS only).
    /// Not percent-decoded, and dot segments are left as they are: match it byte for byte.
    /// </summary>
    public ReadOnlySpan<byte> Path => PathSlice.Length == 0 ? "/"u8 : Bytes(PathSlice);

    /// <summary>
    /// What follows the first '?' of the target, still percent-encoded; empty when there is none. Read it with <see cref="QueryString"/>.
    /// </summary>
    public ReadOnlySpan<byte> Query => Bytes(QuerySlice);

    /// <summary>1 for HTTP/1.1, 0 for HTTP/1.0.</summary>
    public int VersionMinor { get; internal set; }

    /// <summary>
    /// Bytes of content that follow the head; -1 without a Content-Length, and then none follow unless <see cref="IsChunked"/>.
    /// </summary>
    public long ContentLength { get; internal set; }

    /// <summary>The content follows in chunks (RFC 9112 section 7.1); never together with a <see cref="ContentLength"/>.</summary>
    public bool IsChunked { get; internal set; }

    public bool HasContent => IsChunked || ContentLength > 0;

    /// <summary>The client is willing to reuse the connection (RFC 9112 section 9.3): the default in 1.1, to be asked for in 1.0.</summary>
    public bool KeepAlive => !HasConnectionClose && (VersionMinor == 1 || HasConnectionKeepAlive);

    /// <summary>
    /// The client waits for "100 Continue" before it sends the content (RFC 9110 section 10.1.1).
    /// False without content and for HTTP/1.0, where the expectation must be ignored.
    /// </summary>
    public bool ExpectContinue => HasExpectContinue && HasContent && VersionMinor == 1;

    /// <summary>It has the expectation 100-continue, content or not.</summary>
    public bool HasExpectContinue { get; internal set; }

    /// <summary>The target has the absolute-form, with the scheme https.</summary>
    public bool IsTargetHttps { get; internal set; }

    public int FieldCount { get; private set; }

    /// <summary>Name and value of field line <paramref name="index"/> (0..<see cref="FieldCount"/> - 1), in the order sent.</summary>
    public FieldView Field(int index)
    {
        Invariant.Require((uint)index < (uint)FieldCount);
        return new FieldView(Bytes(_fields[index].Name), FieldValue(index));
    }

    /// <summary>The first field line with this name; names are compared without regard to case.</summary>
    /// <param name="lowercaseName">Lower case by convention, so that every name has one spelling in our sources.</param>
    /// <param name="value">Without surrounding whitespace; may be empty.</param>
    public bool TryGetField(ReadOnlySpan<byte> lowercaseName, out ReadOnlySpan<byte> value)
    {
        int index = FindField(lowercaseName, 0);
        value = index < 0 ? default : FieldValue(index);
        return index >= 0;
    }

    /// <summary>The field line with this name when there is one, and only one.</summary>
    public bool TryGetOnlyField(ReadOnlySpan<byte> lowercaseName, out ReadOnlySpan<byte> value)
    {
        int index = FindField(lowercaseName, 0);
        bool isOnly = index >= 0 && FindField(lowercaseName, index + 1) < 0;
        value = isOnly ? FieldValue(index) : default;
        return isOnly;
    }

    /// <summary>How many field lines have this name: a field that decides something must not be sent twice.</summary>
    public int CountFields(ReadOnlySpan<byte> lowercaseName)
    {
        int count = 0;
        for (int index = FindField(lowercaseName, 0); index >= 0; index = FindField(lowercaseName, index + 1))
        {
            count++;
        }

        return count;
    }

    /// <summary>The comma-separated elements of all field lines with this name.</summary>
    public ListElements ListElements(ReadOnlySpan<byte> lowercaseName) => new(this, lowercaseName);

    /// <summary>Whether a list field such as Connection contains a token, without regard to case.</summary>
    public bool HasListToken(ReadOnlySpan<byte> lowercaseName, ReadOnlySpan<byte> token)
    {
        ListElements elements = ListElements(lowercaseName);
        while (elements.TryGetNext(out ReadOnlySpan<byte> element))
        {
            if (Ascii.EqualsIgnoreCase(element, token))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Forgets the request and keeps the buffer for the next one.</summary>
    public void Reset()
    {
        CopiedCount = 0;
        FieldCount = 0;
        Method = RequestMethod.Other;
        MethodSlice = TargetSlice = PathSlice = QuerySlice = AuthoritySlice = HostSlice = default;
        VersionMinor = 0;
        ContentLength = -1;
        IsChunked = IsTargetHttps = false;
        HasHost = HasConnectionClose = HasConnectionKeepAlive = HasExpectContinue = false;
    }

    /// <summary>Forgets the request and returns the buffer to the pool. The head may be used again: it rents a new one.</summary>
    public void Dispose()
    {
        Reset();
        ReturnBuffer();
    }

    internal HeadSlice MethodSlice { get; set; }

    internal HeadSlice TargetSlice { get; set; }

    /// <summary>Empty for an absolute-form target without a path, which means "/" (RFC 9110 section 4.2.3).</summary>
    internal HeadSlice PathSlice { get; set; }

    internal HeadSlice QuerySlice { get; set; }

    /// <summary>The authority of an absolute-form target; empty in the other forms.</summary>
    internal HeadSlice AuthoritySlice { get; set; }

    internal bool HasHost { get; set; }

    internal HeadSlice HostSlice { get; set; }

    internal bool HasConnectionClose { get; set; }

    internal bool HasConnectionKeepAlive { get; set; }

    /// <summary>Bytes from the start of the head that are in the buffer.</summary>
    internal int CopiedCount { get; private set; }

    internal ReadOnlySpan<byte> Copied => _buffer.AsSpan(0, CopiedCount);

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        if (_buffer.Length - CopiedCount < bytes.Length)
        {
            GrowBuffer(CopiedCount + bytes.Length);
        }

        bytes.CopyTo(_buffer.AsSpan(CopiedCount));
        CopiedCount += bytes.Length;
    }

    /// <summary>Replaces what was copied: the whole head has arrived in one piece after all.</summary>
    internal void CopyWhole(ReadOnlySpan<byte> bytes)
    {
        CopiedCount = 0;
        Append(bytes);
    }

    internal void AddField(HeadSlice name, HeadSlice value)
    {
        if (FieldCount == _fields.Length)
        {
            Array.Resize(ref _fields, FieldCount * 2);
        }

        _fields[FieldCount++] = new FieldSlot(name, value);
    }

    /// <returns>The index of the first field line from <paramref name="start"/> on with this name, or -1.</returns>
    internal int FindField(ReadOnlySpan<byte> name, int start)
    {
        ReadOnlySpan<byte> head = Copied;
        for (int index = start; index < FieldCount; index++)
        {
            HeadSlice slice = _fields[index].Name;
            if (slice.Length == name.Length && Ascii.EqualsIgnoreCase(slice.Of(head), name))
            {
                return index;
            }
        }

        return -1;
    }

    internal ReadOnlySpan<byte> FieldValue(int index) => Bytes(_fields[index].Value);

    private ReadOnlySpan<byte> Bytes(HeadSlice slice)
    {
        Debug.Assert(slice.Start + slice.Length <= CopiedCount, "The head is read before the parser completed it.");
        return slice.Of(Copied);
    }

    private void GrowBuffer(int bytesMin)
    {
        // Twice the old size, so that a head arriving in many segments is copied a constant number of times.
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(bytesMin, _buffer.Length * 2));
        Copied.CopyTo(larger);
        ReturnBuffer();
        _buffer = larger;
    }

    private void ReturnBuffer()
    {
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }
    }

    private readonly record struct FieldSlot(HeadSlice Name, HeadSlice Value);
}

/// <summary>A field line of a <see cref="RequestHead"/>; the spans live as long as its bytes.</summary>
public readonly ref struct FieldView(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
{
    /// <summary>As it was sent, in any case.</summary>
    public ReadOnlySpan<byte> Name { get; } = name;

    /// <summary>Without surrounding whitespace.</summary>
    public ReadOnlySpan<byte> Value { get; } = value;
}

/// <summary>
/// Where something is in a head, in bytes from its start. Offsets rather than spans, because while the head arrives
/// its bytes move: from the input's segment to the copy.
/// </summary>
internal readonly record struct HeadSlice(int Start, int Length)
{
    public ReadOnlySpan<byte> Of(ReadOnlySpan<byte> head) => head.Slice(Start, Length);
}
