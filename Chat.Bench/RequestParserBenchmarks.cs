using System.Buffers;
using System.Text;
using Chat.Protocol.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Internal.Http;

namespace Chat.Bench;

/// <summary>
/// The head of a browser's WebSocket upgrade. The baseline is Kestrel's own parser, which hands out name and value of
/// each field line; to have them afterwards, as ours has, its handler puts them into a dictionary.
/// </summary>
[MemoryDiagnoser]
public class RequestParserBenchmarks : IDisposable
{
    private static readonly byte[] Request = Encoding.ASCII.GetBytes(
        """
        GET /ws/1?since=41&epoch=3 HTTP/1.1
        Host: chat.example.com
        Connection: Upgrade
        Pragma: no-cache
        Cache-Control: no-cache
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36
        Upgrade: websocket
        Origin: https://chat.example.com
        Sec-WebSocket-Version: 13
        Accept-Encoding: gzip, deflate, br, zstd
        Accept-Language: en-US,en;q=0.9
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
        Sec-WebSocket-Protocol: chat.v1


        """.ReplaceLineEndings("\r\n"));

    private readonly ReadOnlySequence<byte> _input = new(Request);
    private readonly RequestParser _parser = new(HttpLimits.Default);
    private readonly RequestHead _head = new();
    private readonly HttpParser<Handler> _kestrel = new();
    private readonly Dictionary<string, string> _fields = new(StringComparer.OrdinalIgnoreCase);

    [Benchmark(Baseline = true)]
    public int Kestrel()
    {
        _fields.Clear();
        var handler = new Handler(_fields);
        var reader = new SequenceReader<byte>(_input);
        return _kestrel.ParseRequestLine(handler, ref reader) && _kestrel.ParseHeaders(handler, ref reader) ? _fields.Count : -1;
    }

    [Benchmark]
    public int Parser() =>
        _parser.TryParse(_input, _head, out _, out _) == ParseStatus.Complete ? _head.FieldCount : -1;

    [GlobalCleanup]
    public void Dispose()
    {
        _head.Dispose();
        GC.SuppressFinalize(this);
    }

    private readonly struct Handler(Dictionary<string, string> fields) : IHttpRequestLineHandler, IHttpHeadersHandler
    {
        public void OnStartLine(HttpVersionAndMethod versionAndMethod, TargetOffsetPathLength targetPath, Span<byte> startLine)
        {
        }

        public void OnHeader(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) =>
            fields[Encoding.ASCII.GetString(name)] = Encoding.Latin1.GetString(value);

        public void OnHeadersComplete(bool endStream)
        {
        }

        public void OnStaticIndexedHeader(int index) => throw new NotSupportedException("HTTP/2 only.");

        public void OnStaticIndexedHeader(int index, ReadOnlySpan<byte> value) => throw new NotSupportedException("HTTP/2 only.");
    }
}
