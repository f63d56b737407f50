using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Chat.Server.Rest;

/// <summary>An answer, ready to be written. Immutable; common ones are shared.</summary>
/// <param name="Status">200..599; with 204 there is no content.</param>
/// <param name="Content">The bytes, which live as long as the answer, or as the call if they were rented from it.</param>
internal sealed record Response(int Status, ReadOnlyMemory<byte> Content)
{
    private static readonly byte[] JsonType = "application/json"u8.ToArray();

    public static Response NoContent { get; } = new(204, default);

    public byte[] ContentType { get; init; } = JsonType;

    /// <summary>Further field lines: names and values in ASCII.</summary>
    public ImmutableArray<(byte[] Name, byte[] Value)> Fields { get; init; } = [];

    public static Response Json<T>(int status, T value, JsonTypeInfo<T> type) => new(status, JsonSerializer.SerializeToUtf8Bytes(value, type));

    public Response With(string name, string value) =>
        this with { Fields = [.. Fields, (Encoding.ASCII.GetBytes(name), Encoding.ASCII.GetBytes(value))] };
}
