using Chat.Server.Rooms;

namespace Chat.Server.Auth;

/// <summary>Why a token is refused. For answers and metrics; the token itself goes nowhere.</summary>
internal enum TokenFailure
{
    None,
    Missing,

    /// <summary>More than <see cref="TokenService.TokenBytesMax"/> bytes.</summary>
    TooLong,

    /// <summary>Not three base64url parts, not JSON in them, or without a claim that every token of ours has.</summary>
    Malformed,

    /// <summary>A JWE (five parts): we never encrypt, and decrypting for strangers is work and risk.</summary>
    Encrypted,

    /// <summary>Any <c>alg</c> but HS256, <c>none</c> included (RFC 8725 section 3.1).</summary>
    WrongAlgorithm,
    BadSignature,

    /// <summary>Was good: the client should log in again (close code 4201 rather than 4500).</summary>
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongAudience,

    /// <summary><c>sub</c> is not the positive integer of a user.</summary>
    BadSubject,
}

/// <summary>Who a token speaks for. Immutable and shared between all connections of that token.</summary>
/// <param name="UserId">Positive.</param>
/// <param name="Username">As it was when the token was issued.</param>
/// <param name="ExpiresAt">UTC; a connection ends then.</param>
internal sealed record TokenIdentity(long UserId, string Username, DateTimeOffset ExpiresAt)
{
    public Sender Sender { get; } = new(UserId, Username);
}

/// <summary>An identity or the reason there is none.</summary>
internal readonly record struct TokenResult(TokenIdentity? Identity, TokenFailure Failure)
{
    [System.Diagnostics.CodeAnalysis.MemberNotNullWhen(true, nameof(Identity))]
    public bool IsValid => Identity is not null;

    public static implicit operator TokenResult(TokenFailure failure) => new(null, failure);
}

/// <summary>A token for its user. Its text form leaves the token out, so that no log can hold it.</summary>
internal readonly record struct IssuedToken(string Token, DateTimeOffset ExpiresAt)
{
    public override string ToString() => $"{nameof(IssuedToken)} {{ ExpiresAt = {ExpiresAt:O} }}";
}
