using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Internal.Http;

namespace Chat.Server.Tests.Oracles;

/// <summary>What Kestrel's own parser makes of a request's head.</summary>
internal sealed record KestrelRequest(string Method, string Target, string Version, string Fields, long ConsumedBytes)
{
    /// <summary>Null when Kestrel refuses the bytes, or wants more of them.</summary>
    public static KestrelRequest? Parse(ReadOnlySequence<byte> input)
    {
        var seen = new Seen();
        var parser = new HttpParser<Handler>(showErrorDetails: false);
        var reader = new SequenceReader<byte>(input);
        try
        {
            return parser.ParseRequestLine(new Handler(seen), ref reader) && parser.ParseHeaders(new Handler(seen), ref reader)
                ? new KestrelRequest(seen.Method, seen.Target, seen.Version, seen.Fields.ToString(), reader.Consumed)
                : null;
        }
        catch (BadHttpRequestException)
        {
            return null;
        }
    }

    private sealed class Seen
    {
        public string Method { get; set; } = "";

        public string Target { get; set; } = "";

        public string Version { get; set; } = "";

        public StringBuilder Fields { get; } = new();
    }

    private readonly struct Handler(Seen seen) : IHttpRequestLineHandler, IHttpHeadersHandler
    {
        public void OnStartLine(HttpVersionAndMethod versionAndMethod, TargetOffsetPathLength targetPath, Span<byte> startLine)
        {
            string line = Encoding.Latin1.GetString(startLine);
            seen.Method = line[..versionAndMethod.MethodEnd];
            seen.Target = line[targetPath.Offset..]; // The line that a handler is given ends before the version.
            seen.Version = $"{versionAndMethod.Version}";
        }

        public void OnHeader(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) =>
            seen.Fields.Append('\n').Append(Encoding.Latin1.GetString(name)).Append(": <").Append(Encoding.Latin1.GetString(value)).Append('>');

        public void OnHeadersComplete(bool endStream)
        {
        }

        public void OnStaticIndexedHeader(int index) => throw new NotSupportedException("HTTP/2 only.");

        public void OnStaticIndexedHeader(int index, ReadOnlySpan<byte> value) => throw new NotSupportedException("HTTP/2 only.");
    }
}
