using System.Buffers;
using System.Buffers.Text;
using System.Runtime.CompilerServices;

namespace Chat.Protocol.Http;

/// <summary>
/// Writes one response (RFC 9112 section 4) into a buffer writer: make it, add fields, end it with exactly one of
/// <see cref="End()"/>, <see cref="End(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/> and <see cref="EndHead"/>.
/// On the stack, without allocation. Until it is ended the response is incomplete and must not be flushed.
/// </summary>
/// <remarks>
/// Status line, Date and Connection are its own business, and so are Content-Type and Content-Length: which of them a response
/// has follows from the request and the status. Interim responses are not written here: see <see cref="WriteContinue"/> and
/// <c>WebSocket.Handshake</c>.
/// </remarks>
public ref struct ResponseWriter
{
    // Most heads fit into one span of this size, so the buffer writer is asked for memory once.
    private const int SpanBytesMin = 512;

    private readonly IBufferWriter<byte> _output;
    private readonly int _status;
    private readonly bool _isHead;
    private Span<byte> _span;
    private int _written;

    /// <summary>Begins the answer to a parsed request.</summary>
    /// <param name="output">Not to be used by anyone else until the response is ended.</param>
    /// <param name="request">The request answered: HEAD gets no content, HTTP/1.0 is told that the connection stays.</param>
    /// <param name="status">A final status, 200..599.</param>
    /// <param name="date">The value of Date, from <see cref="HttpDate.Now"/>.</param>
    /// <param name="keepAlive">Whether the server keeps the connection; it never does when the client would not.</param>
    public ResponseWriter(IBufferWriter<byte> output, RequestHead request, int status, ReadOnlySpan<byte> date, bool keepAlive)
        : this(output, status, date, request.Method == RequestMethod.Head)
    {
        if (!keepAlive || !request.KeepAlive)
        {
            Write("Connection: close\r\n"u8);
        }
        else if (request.VersionMinor == 0)
        {
            Write("Connection: keep-alive\r\n"u8);
        }
    }

    /// <summary>
    /// Begins the answer to bytes that were no request, or one that is not served. The connection is closed after it.
    /// </summary>
    /// <param name="output">Not to be used by anyone else until the response is ended.</param>
    /// <param name="method">As far as it was understood: HEAD gets no content then, either (RFC 9110 section 9.3.2).</param>
    /// <param name="status">A final status, 200..599.</param>
    /// <param name="date">The value of Date, from <see cref="HttpDate.Now"/>.</param>
    public ResponseWriter(IBufferWriter<byte> output, RequestMethod method, int status, ReadOnlySpan<byte> date)
        : this(output, status, date, method == RequestMethod.Head)
    {
        Write("Connection: close\r\n"u8);
    }

    private ResponseWriter(IBufferWriter<byte> output, int status, ReadOnlySpan<byte> date, bool isHead)
    {
        Invariant.Require(status is >= 200 and <= 599);
        _output = output;
        _status = status;
        _isHead = isHead;
        WriteStatusLine(status);
        WriteLine("Date: "u8, date);
    }

    // RFC 9110 sections 15.3.5 and 15.4.5: these end at the empty line, whatever the fields say.
    private readonly bool IsWithoutContent => _status is 204 or 304;

    /// <summary>The interim response for a client that waits before it sends its content (RFC 9110 section 10.1.1).</summary>
    public static void WriteContinue(IBufferWriter<byte> output) => output.Write("HTTP/1.1 100 Continue\r\n\r\n"u8);

    /// <summary>Adds a field line.</summary>
    /// <exception cref="InvariantException">
    /// The name is no token, or the value has a control character: they would forge another field, or a response.
    /// </exception>
    public void WriteField(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        Invariant.Require(!name.IsEmpty && !name.ContainsAnyExcept(CharacterSets.Token));
        Write(name);
        WriteLine(": "u8, value);
    }

    /// <summary>Adds a field line with a decimal number, such as Retry-After in seconds.</summary>
    public void WriteField(scoped ReadOnlySpan<byte> name, long value)
    {
        Span<byte> digits = stackalloc byte[20];
        bool fits = Utf8Formatter.TryFormat(value, digits, out int count);
        Invariant.Require(fits);
        WriteField(name, digits[..count]);
    }

    /// <summary>Ends a response that has no content.</summary>
    public void End()
    {
        // Without a length a client would read until the connection closes (RFC 9112 section 6.3).
        Write(IsWithoutContent ? "\r\n"u8 : "Content-Length: 0\r\n\r\n"u8);
        Commit();
    }

    /// <summary>Ends the response with this content. A HEAD request gets the same fields, without the content.</summary>
    public void End(scoped ReadOnlySpan<byte> contentType, scoped ReadOnlySpan<byte> content)
    {
        EndHead(contentType, content.Length);
        if (!_isHead)
        {
            _output.Write(content);
        }
    }

    /// <summary>
    /// Ends the head of a response whose <paramref name="contentLength"/> bytes the caller writes next; none for a HEAD request.
    /// </summary>
    /// <exception cref="InvariantException">The status does not allow content.</exception>
    public void EndHead(scoped ReadOnlySpan<byte> contentType, long contentLength)
    {
        Invariant.Require(!IsWithoutContent && contentLength >= 0);
        WriteLine("Content-Type: "u8, contentType);
        WriteField("Content-Length"u8, contentLength);
        Write("\r\n"u8);
        Commit();
    }

    private void WriteStatusLine(int status)
    {
        ReadOnlySpan<byte> line = StatusLine.Of(status);
        if (!line.IsEmpty)
        {
            Write(line);
            return;
        }

        // The reason phrase may be empty; the space before it may not be left out.
        ReadOnlySpan<byte> digits = [(byte)('0' + (status / 100)), (byte)('0' + (status / 10 % 10)), (byte)('0' + (status % 10))];
        Write("HTTP/1.1 "u8);
        Write(digits);
        Write(" \r\n"u8);
    }

    private void WriteLine(scoped ReadOnlySpan<byte> prefix, scoped ReadOnlySpan<byte> value)
    {
        Invariant.Require(!value.ContainsAny(CharacterSets.Control));
        Write(prefix);
        Write(value);
        Write("\r\n"u8);
    }

    private void Write(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _span.Length - _written)
        {
            MakeRoom(bytes.Length);
        }

        bytes.CopyTo(_span[_written..]);
        _written += bytes.Length;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void MakeRoom(int bytesMin)
    {
        Commit();
        _span = _output.GetSpan(Math.Max(bytesMin, SpanBytesMin));
    }

    private void Commit()
    {
        _output.Advance(_written);
        _span = default;
        _written = 0;
    }
}
