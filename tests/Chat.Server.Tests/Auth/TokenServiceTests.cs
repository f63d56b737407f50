using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Chat.Server.Auth;
using Chat.Server.Settings;
using Chat.TestKit;
using CsCheck;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Logging;
using Microsoft.IdentityModel.Tokens;

namespace Chat.Server.Tests.Auth;

public sealed class TokenServiceTests
{
    private const string Secret = "0123456789abcdef0123456789abcdef";
    private const string Hs256 = """{"alg":"HS256","typ":"JWT"}""";

    private static readonly DateTimeOffset Start = new(2026, 11, 22, 18, 0, 0, TimeSpan.Zero);

    private readonly ManualTime _time = new(Start);
    private readonly TokenService _tokens;

    public TokenServiceTests() => _tokens = Make();

    private TokenService Make(string secret = Secret, string issuer = "chat", string audience = "chat", int cacheMax = 64)
    {
        Assert.True(SigningKey.TryOpen(secret, "", out var key, out _));
        return new TokenService(new TokenSettings(secret, issuer, audience, LifetimeMinutes: 1440, cacheMax), key!, _time);
    }

    /// <summary>A token made by hand, independently of the library.</summary>
    private static string Sign(string header, string payload, string secret = Secret)
    {
        var signed = $"{Encode(Encoding.UTF8.GetBytes(header))}.{Encode(Encoding.UTF8.GetBytes(payload))}";
        return $"{signed}.{Encode(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.ASCII.GetBytes(signed)))}";

        static string Encode(byte[] bytes) => Base64Url.EncodeToString(bytes);
    }

    private static string Payload(string sub = "\"7\"", string exp = "1795500000", string more = "") =>
        $$"""{"sub":{{sub}},"name":"Test","iat":1795370400,"exp":{{exp}},"iss":"chat","aud":"chat"{{more}}}""";

    [Fact]
    public void An_issued_token_names_its_user_for_a_day()
    {
        var issued = _tokens.Issue(7, "Zoë \"Z\"");
        var result = _tokens.Validate(issued.Token);

        Assert.Equal(Start.AddDays(1), issued.ExpiresAt);
        TokenIdentity identity = result.Identity!;
        Assert.Equal((7, "Zoë \"Z\"", Start.AddDays(1)), (identity.UserId, identity.Username, identity.ExpiresAt));
        Assert.Equal(result, _tokens.Validate(Encoding.ASCII.GetBytes(issued.Token)));
        Assert.NotEqual(issued.Token, _tokens.Issue(7, "Zoë \"Z\"").Token);
    }

    [Fact]
    public void An_issued_token_holds_the_registered_claims()
    {
        var token = new JsonWebToken(_tokens.Issue(7, "Test").Token);

        Assert.Equal(("HS256", "7", "chat", "chat"), (token.Alg, token.Subject, token.Issuer, token.Audiences.Single()));
        Assert.Equal(Start.UtcDateTime, token.IssuedAt);
        Assert.Equal(Start.AddDays(1).UtcDateTime, token.ValidTo);
        Assert.Equal(32, token.Id.Length);
    }

    [Fact]
    public void A_token_made_by_another_program_with_the_key_is_accepted() =>
        Assert.Equal(7, _tokens.Validate(Sign(Hs256, Payload())).Identity?.UserId);

    [Fact]
    public void No_token_is_missing()
    {
        Assert.Equal(TokenFailure.Missing, _tokens.Validate((string?)null).Failure);
        Assert.Equal(TokenFailure.Missing, _tokens.Validate("").Failure);
        Assert.Equal(TokenFailure.Missing, _tokens.Validate(ReadOnlySpan<byte>.Empty).Failure);
    }

    [Fact]
    public void A_token_expires_at_its_time_and_the_skew_also_when_it_is_remembered()
    {
        var token = _tokens.Issue(7, "Test").Token;
        _time.Now = Start.AddDays(1).AddSeconds(4);
        Assert.True(_tokens.Validate(token).IsValid);
        Assert.Equal(1, _tokens.CacheCount);

        _time.Now = Start.AddDays(1).AddSeconds(5);
        Assert.Equal(TokenFailure.Expired, _tokens.Validate(token).Failure);
        Assert.Equal(TokenFailure.Expired, Make().Validate(token).Failure);
    }

    [Fact]
    public void A_token_without_an_expiry_or_before_its_time_is_refused()
    {
        var eternal = Sign(Hs256, """{"sub":"7","name":"Test","iss":"chat","aud":"chat"}""");
        Assert.Equal(TokenFailure.Malformed, _tokens.Validate(eternal).Failure);
        Assert.Equal(TokenFailure.NotYetValid, _tokens.Validate(Sign(Hs256, Payload(more: ",\"nbf\":1795490000"))).Failure);
    }

    [Fact]
    public void A_token_of_another_issuer_audience_or_key_is_refused()
    {
        Assert.Equal(TokenFailure.WrongIssuer, _tokens.Validate(Make(issuer: "other").Issue(7, "Test").Token).Failure);
        Assert.Equal(TokenFailure.WrongAudience, _tokens.Validate(Make(audience: "other").Issue(7, "Test").Token).Failure);
        Assert.Equal(TokenFailure.BadSignature, _tokens.Validate(Make(secret: Secret + "x").Issue(7, "Test").Token).Failure);
    }

    [Fact]
    public void A_token_with_any_character_changed_is_refused()
    {
        var token = _tokens.Issue(7, "Test").Token;
        for (var i = 0; i < token.Length - 1; i++)
        {
            var changed = token[..i] + (token[i] == 'A' ? 'B' : 'A') + token[(i + 1)..];
            Assert.False(_tokens.Validate(changed).IsValid, $"index {i}");
        }
        Assert.Equal(0, _tokens.CacheCount);
    }

    [Fact]
    public void A_changed_payload_or_signature_is_a_bad_signature()
    {
        var parts = _tokens.Issue(7, "Test").Token.Split('.');
        var payload = Base64Url.EncodeToString(Encoding.UTF8.GetBytes(Payload(sub: "\"8\"")));

        Assert.Equal(TokenFailure.BadSignature, _tokens.Validate($"{parts[0]}.{payload}.{parts[2]}").Failure);
        Assert.Equal(TokenFailure.BadSignature, _tokens.Validate($"{parts[0]}.{parts[1]}.{new string('A', 43)}").Failure);
        Assert.Equal(TokenFailure.BadSignature, _tokens.Validate($"{parts[0]}.{parts[1]}.").Failure);
    }

    /// <summary>RFC 8725 section 2.1: the header must not choose how it is checked.</summary>
    [Theory]
    [InlineData("none")]
    [InlineData("None")]
    [InlineData("hs256")]
    [InlineData("HS384")]
    [InlineData("HS512")]
    [InlineData("RS256")]
    [InlineData("ES256")]
    [InlineData("")]
    public void Any_other_algorithm_is_refused(string algorithm)
    {
        var signed = Sign($$"""{"alg":"{{algorithm}}","typ":"JWT"}""", Payload());
        var unsigned = signed[..(signed.LastIndexOf('.') + 1)];

        Assert.Equal(TokenFailure.WrongAlgorithm, _tokens.Validate(signed).Failure);
        Assert.Equal(TokenFailure.WrongAlgorithm, _tokens.Validate(unsigned).Failure);
    }

    [Fact]
    public void A_token_that_brings_its_own_key_is_refused()
    {
        using var rsa = RSA.Create(2048);
        var foreign = new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
        {
            Issuer = "chat",
            Audience = "chat",
            Expires = Start.AddDays(1).UtcDateTime,
            NotBefore = Start.UtcDateTime,
            IssuedAt = Start.UtcDateTime,
            Claims = new Dictionary<string, object> { ["sub"] = "7", ["name"] = "Test" },
            SigningCredentials = new SigningCredentials(new RsaSecurityKey(rsa), SecurityAlgorithms.RsaSha256),
        });
        const string Header = """{"alg":"HS256","typ":"JWT","jwk":{"kty":"oct","k":"YXR0YWNrZXI"},"kid":"x","jku":"https://evil.example"}""";
        var inHeader = Sign(Header, Payload(), "attacker");

        Assert.Equal(TokenFailure.WrongAlgorithm, _tokens.Validate(foreign).Failure);
        Assert.Equal(TokenFailure.BadSignature, _tokens.Validate(inHeader).Failure);
    }

    [Fact]
    public void An_encrypted_token_is_refused()
    {
        var encrypted = new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
        {
            Issuer = "chat",
            Audience = "chat",
            Claims = new Dictionary<string, object> { ["sub"] = "7" },
            EncryptingCredentials = new EncryptingCredentials(new SymmetricSecurityKey(Encoding.UTF8.GetBytes(Secret)), "dir", "A128CBC-HS256"),
        });

        Assert.Equal(TokenFailure.Encrypted, _tokens.Validate(encrypted).Failure);
        Assert.Equal(TokenFailure.Encrypted, _tokens.Validate("e30....").Failure);
    }

    [Theory]
    [InlineData("\"0\"")]
    [InlineData("\"-7\"")]
    [InlineData("\"+7\"")]
    [InlineData("\" 7\"")]
    [InlineData("\"7.0\"")]
    [InlineData("\"9223372036854775808\"")]
    [InlineData("\"admin\"")]
    [InlineData("\"\"")]
    [InlineData("null")]
    [InlineData("{}")]
    public void A_subject_that_is_no_positive_integer_is_refused_also_when_signed(string sub) =>
        Assert.NotEqual(TokenFailure.None, _tokens.Validate(Sign(Hs256, Payload(sub: sub))).Failure);

    [Theory]
    [InlineData("\"soon\"")]
    [InlineData("1e300")]
    [InlineData("-1")]
    [InlineData("null")]
    [InlineData("99999999999999999999999")]
    public void An_odd_expiry_is_answered_without_an_exception(string exp) =>
        Assert.False(_tokens.Validate(Sign(Hs256, Payload(exp: exp))).IsValid);

    [Theory]
    [InlineData("a")]
    [InlineData("..")]
    [InlineData("a.b.c")]
    [InlineData("e30.e30.e30")]
    [InlineData("W10.W10.W10")]
    [InlineData("a.b.c.d")]
    [InlineData("a b.c.d")]
    [InlineData("ä.b.c")]
    [InlineData("Bearer e30.e30.")]
    [InlineData("\0.\0.\0")]
    public void Garbage_is_refused(string token) => Assert.False(_tokens.Validate(token).IsValid);

    [Fact]
    public void A_token_of_more_bytes_than_the_limit_is_not_looked_at()
    {
        Assert.Equal(TokenFailure.Malformed, _tokens.Validate(new string('a', TokenService.TokenBytesMax)).Failure);
        Assert.Equal(TokenFailure.TooLong, _tokens.Validate(new string('a', TokenService.TokenBytesMax + 1)).Failure);
        Assert.Equal(TokenFailure.TooLong, _tokens.Validate(new byte[10_000_000]).Failure);
    }

    [Fact]
    public void Random_bytes_and_damaged_tokens_never_throw_and_never_enter_the_cache()
    {
        var token = Encoding.ASCII.GetBytes(_tokens.Issue(7, "Test").Token);
        var damaged = Gen.Select(Gen.Int[0, token.Length - 2], Gen.Byte, (index, value) =>
        {
            var copy = (byte[])token.Clone();
            copy[index] = copy[index] == value ? (byte)~value : value;
            return copy;
        });
        var parts = Gen.Select(Gen.String, Gen.String, (header, payload) => Encoding.ASCII.GetBytes(Sign(header, payload)));

        Gen.OneOf(Gen.Byte.Array[0, 300], damaged, parts).Sample(bytes => !_tokens.Validate(bytes).IsValid, iter: 2000);
        Assert.Equal(0, _tokens.CacheCount);
    }

    [Fact]
    public void A_signed_token_with_any_json_as_a_claim_never_throws()
    {
        string[] values = ["null", "true", "1", "-1", "1.5", "1e400", "\"x\"", "[]", "[1]", "{}", "{\"a\":1}", "\"\\ud800\"", ""];
        string[] names = ["sub", "name", "exp", "nbf", "iat", "iss", "aud", "jti", "actort", "zip", "cty"];
        var claims = Gen.Select(Gen.Int[0, names.Length - 1], Gen.Int[0, values.Length - 1], (name, value) =>
            $"\"{names[name]}\":{values[value]}");

        claims.Array[0, 6].Sample(list =>
        {
            var members = string.Join(',', list);
            _ = _tokens.Validate(Sign(Hs256, $"{{{members}}}"));
            _ = _tokens.Validate(Sign($"{{\"alg\":\"HS256\",{members}}}", Payload()));
        }, iter: 2000);
    }

    [Fact]
    public void A_token_seen_again_gives_the_same_identity_without_allocating()
    {
        var token = Encoding.ASCII.GetBytes(_tokens.Issue(7, "Test").Token);
        var first = _tokens.Validate(token);
        Assert.Same(first.Identity, _tokens.Validate(token).Identity);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
        {
            _ = _tokens.Validate(token);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void The_cache_stays_within_its_capacity_and_keeps_what_is_used()
    {
        var tokens = Make(cacheMax: 8);
        var used = tokens.Issue(1, "Test").Token;
        var identity = tokens.Validate(used).Identity;
        for (var i = 2; i < 100; i++)
        {
            Assert.True(tokens.Validate(tokens.Issue(i, "Test").Token).IsValid);
            Assert.Same(identity, tokens.Validate(used).Identity);
            Assert.InRange(tokens.CacheCount, 1, 8);
        }
    }

    [Fact]
    public void Many_threads_get_the_right_identities()
    {
        var tokens = Make(cacheMax: 8);
        var issued = Enumerable.Range(1, 32).Select(id => tokens.Issue(id, $"user{id}").Token).ToArray();

        Parallel.For(0, 4000, i => Assert.Equal((i % 32) + 1, tokens.Validate(issued[i % 32]).Identity!.UserId));

        Assert.InRange(tokens.CacheCount, 1, 8 + Environment.ProcessorCount);
    }

    [Fact]
    public void No_result_text_or_library_log_holds_a_token()
    {
        var issued = _tokens.Issue(7, "Test");
        var damaged = issued.Token[..^2] + "AA";

        Assert.False(IdentityModelEventSource.ShowPII);
        Assert.False(IdentityModelEventSource.LogCompleteSecurityArtifact);
        var texts = $"{issued} {_tokens.Validate(issued.Token)} {_tokens.Validate(damaged)} {_tokens}";
        Assert.All(issued.Token.Split('.'), part => Assert.DoesNotContain(part, texts));
    }
}
