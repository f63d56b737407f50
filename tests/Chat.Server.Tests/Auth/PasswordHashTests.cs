using Chat.Server.Auth;
using CsCheck;

namespace Chat.Server.Tests.Auth;

public sealed class PasswordHashTests
{
    private const string Valid = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    [Fact]
    public void A_PHC_string_survives_parsing_and_formatting()
    {
        Assert.True(PasswordHash.TryParse(Valid, out var hash));
        Assert.Equal(new Argon2Cost(19456, 2, 1), hash.Cost);
        Assert.Equal((16, 32), (hash.Salt.Length, hash.Tag.Length));
        Assert.Equal(Valid, hash.Format());
    }

    [Theory]
    [InlineData("")]
    [InlineData("$argon2i$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=16$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=262145,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=19456,t=17,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=19456,t=2,p=17$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=7,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=19456,t=0,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=-1,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$t=2,m=19456,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=19456,t=2,p=1$AAEC$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw==$AAECAwQFBgcICQoLDA0ODw")]
    [InlineData("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$")]
    [InlineData("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw")]
    public void Other_formats_and_costs_beyond_the_caps_are_refused(string text) => Assert.False(PasswordHash.TryParse(text, out _));

    [Fact]
    public void A_string_with_any_character_replaced_parses_or_not_but_never_throws() =>
        Gen.Select(Gen.Int[0, Valid.Length - 1], Gen.Char).Sample((index, c) =>
        {
            var text = Valid[..index] + c + Valid[(index + 1)..];
            _ = PasswordHash.TryParse(text, out _);
        });
}
