using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Chat.Server.Rest;

/// <summary>
/// What <c>/conformance/http/</c> answers to any method: what the parser made of the request, so that a test suite sees which
/// bytes were taken for what. Only with the setting CONFORMANCE.
/// </summary>
internal static class ConformanceEndpoint
{
    /// <summary>
    /// Content is counted and not kept, so it may be as long as the longest message of <c>/conformance/echo</c>; beyond, as everywhere,
    /// the length alone is refused, instead of waiting for what a malformed one promises.
    /// </summary>
    public const int BodyBytesMax = 16 * 1024 * 1024;

    public static bool IsPath(ReadOnlySpan<byte> path) => path.StartsWith("/conformance/http/"u8);

    public static Response Answer(RestCall call)
    {
        var content = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(content))
        {
            json.WriteStartObject();
            json.WriteString("method"u8, Encoding.Latin1.GetString(call.Head.MethodName));
            json.WriteString("target"u8, Encoding.Latin1.GetString(call.Head.Target));
            json.WriteNumber("body_bytes"u8, call.ContentBytes);
            json.WriteEndObject();
        }

        return new Response(200, content.WrittenMemory);
    }
}
