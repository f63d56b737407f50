using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Chat.Server.Auth;
using Chat.Server.Settings;
using Chat.TestKit;

namespace Chat.Fuzz.Targets;

/// <summary>
/// A token as a stranger sends it, or a header and claims (two lines) that are signed with the right key, to get behind the signature.
/// Nothing throws; what is accepted was signed with our key and says what a token has to say; and asking again gives the same answer.
/// </summary>
internal static class TokenTarget
{
    public static readonly DateTimeOffset Now = new(2026, 11, 22, 18, 0, 0, TimeSpan.Zero);

    private const string Secret = "0123456789abcdef0123456789abcdef";
    private const int ClockSkewSeconds = 5;

    private static readonly SigningKey Key = SigningKey.TryOpen(Secret, "", out SigningKey? key, out _) ? key! : throw new InvalidOperationException();

    public static void Run(FuzzInput input)
    {
        byte[] token = input.HasOption(0) ? Sign(input.Data) : input.Data;
        TokenService service = NewService();
        TokenResult result = service.Validate(token);
        Check.Same(result, service.Validate(token), "a token seen before is answered alike");
        Check.Same(result.IsValid ? 1 : 0, service.CacheCount, "what is accepted is remembered, and nothing else");
        if (result.IsValid)
        {
            Check.That(IsGood(Encoding.ASCII.GetString(token), result.Identity), "what is accepted was signed with our key and is in time");
        }
    }

    public static byte[] Issue(long userId, string username) => Encoding.ASCII.GetBytes(NewService().Issue(userId, username).Token);

    private static TokenService NewService() => new(new TokenSettings(Secret, "chat", "chat", LifetimeMinutes: 1440, CacheMax: 64), Key, new ManualTime(Now));

    private static byte[] Sign(byte[] data)
    {
        int end = data.AsSpan().IndexOf((byte)'\n');
        string header = Base64Url.EncodeToString(end < 0 ? data : data.AsSpan(0, end));
        string claims = Base64Url.EncodeToString(end < 0 ? [] : data.AsSpan(end + 1));
        byte[] signature = HMACSHA256.HashData(Key.Bytes, Encoding.ASCII.GetBytes($"{header}.{claims}"));
        return Encoding.ASCII.GetBytes($"{header}.{claims}.{Base64Url.EncodeToString(signature)}");
    }

    /// <summary>The same by hand. Of a claim that is there twice, one has to be good.</summary>
    private static bool IsGood(string token, TokenIdentity identity)
    {
        string[] parts = token.Split('.');
        byte[] signature = HMACSHA256.HashData(Key.Bytes, Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}"));
        using JsonDocument header = ParseFirst(Decode(parts[0]));
        using JsonDocument claims = ParseFirst(Decode(parts[1]));
        long earliestExpiry = Now.ToUnixTimeSeconds() - ClockSkewSeconds;
        return parts.Length == 3
            && Decode(parts[2]).AsSpan().SequenceEqual(signature)
            && All(header, "alg").Any(static alg => alg.GetString() == "HS256")
            && All(claims, "iss").Any(static issuer => issuer.GetString() == "chat")
            && All(claims, "aud").Any(static audience => audience.ToString().Contains("chat", StringComparison.Ordinal))
            && All(claims, "sub").Any(subject => subject.ToString() == identity.UserId.ToString(CultureInfo.InvariantCulture))
            && All(claims, "exp").Any(expiry => expiry.ValueKind != JsonValueKind.Null && identity.ExpiresAt.ToUnixTimeSeconds() > earliestExpiry);
    }

    /// <summary>The library lets anything follow the object. Only who has the key can sign such a token, so we leave it at that.</summary>
    private static JsonDocument ParseFirst(byte[] json)
    {
        var reader = new Utf8JsonReader(json);
        return JsonDocument.ParseValue(ref reader);
    }

    private static IEnumerable<JsonElement> All(JsonDocument document, string name) =>
        document.RootElement.EnumerateObject().Where(property => property.Name == name).Select(static property => property.Value);

    /// <summary>The last character of base64 may have bits that stand for nothing, and the library lets them be anything.</summary>
    private static byte[] Decode(string part) => Convert.FromBase64String(
        part.Replace('-', '+').Replace('_', '/').PadRight((part.Length + 3) / 4 * 4, '='));
}
