using System.IdentityModel.Tokens.Jwt;
using System.Text;
using Chat.Protocol;
using Chat.Server.Auth;
using Chat.Server.Settings;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Chat.Bench;

/// <summary>
/// One token of a connection or a call: validated by the two handlers that .NET servers use, and by ours, which knows the tokens that it has seen.
/// </summary>
[MemoryDiagnoser]
public class TokenBenchmarks
{
    private readonly JwtSecurityTokenHandler _oldHandler = new();
    private readonly JsonWebTokenHandler _handler = new();
    private TokenService _tokens = null!;
    private TokenValidationParameters _rules = null!;
    private string _token = "";
    private byte[] _tokenBytes = [];

    [GlobalSetup]
    public void SetUp()
    {
        var settings = new TokenSettings("0123456789abcdef0123456789abcdef", Issuer: "chat", Audience: "chat", LifetimeMinutes: 60, CacheMax: 1000);
        Invariant.Require(SigningKey.TryOpen(settings.Secret, dataDir: "", out SigningKey? key, out _));
        _tokens = new TokenService(settings, key!, TimeProvider.System);
        _token = _tokens.Issue(7, "Ann").Token;
        _tokenBytes = Encoding.ASCII.GetBytes(_token);
        _rules = new TokenValidationParameters
        {
            IssuerSigningKey = new SymmetricSecurityKey(key!.Bytes),
            ValidAlgorithms = [SecurityAlgorithms.HmacSha256],
            ValidIssuer = settings.Issuer,
            ValidAudience = settings.Audience,
        };
        Invariant.Require(TokenService() && JsonWebTokenHandler().IsValid);
    }

    [Benchmark(Baseline = true)]
    public TokenValidationResult JsonWebTokenHandler() => _handler.ValidateTokenAsync(_token, _rules).GetAwaiter().GetResult();

    [Benchmark]
    public object JwtSecurityTokenHandler() => _oldHandler.ValidateToken(_token, _rules, out _);

    [Benchmark]
    public bool TokenService() => _tokens.Validate(_tokenBytes).IsValid;
}
