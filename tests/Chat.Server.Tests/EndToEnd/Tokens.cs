using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Makes tokens as the server does, or as an attacker would, from nothing but RFC 7515.</summary>
internal static class Tokens
{
    public static string Make(User user, DateTimeOffset expiresAt, string issuer = "chat", string audience = "chat") =>
        Sign("""{"alg":"HS256","typ":"JWT"}""", Claims(user.Id, expiresAt, issuer, audience), ServerLaunch.JwtSecret);

    public static string Claims(long userId, DateTimeOffset expiresAt, string issuer = "chat", string audience = "chat") =>
        $$"""{"sub":"{{userId}}","name":"x","iss":"{{issuer}}","aud":"{{audience}}","exp":{{expiresAt.ToUnixTimeSeconds()}}}""";

    public static string Sign(string header, string claims, string secret)
    {
        string input = $"{Encode(header)}.{Encode(claims)}";
        byte[] signature = HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.ASCII.GetBytes(input));
        return $"{input}.{Base64Url.EncodeToString(signature)}";
    }

    public static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
