using System.Text;
using Chat.Server.Auth;

namespace Chat.Server.Tests.Auth;

public sealed class Argon2Tests
{
    private static readonly byte[] Salt = [.. Enumerable.Range(0, 16).Select(static i => (byte)i)];

    [Fact]
    public async Task The_managed_library_gives_the_tag_of_RFC_9106_section_5_3()
    {
        using var argon2 = new Konscious.Security.Cryptography.Argon2id([.. Enumerable.Repeat((byte)1, 32)])
        {
            Salt = [.. Enumerable.Repeat((byte)2, 16)],
            KnownSecret = [.. Enumerable.Repeat((byte)3, 8)],
            AssociatedData = [.. Enumerable.Repeat((byte)4, 12)],
            MemorySize = 32,
            Iterations = 3,
            DegreeOfParallelism = 4,
        };

        var tag = await argon2.GetBytesAsync(32);

        Assert.Equal("0D640DF58D78766C08C037A34A8B53C9D01EF0452D75B65EB52520E96B01E659", Convert.ToHexString(tag));
    }

    [Theory]
    [InlineData(8, 1, 16, "")]
    [InlineData(64, 1, 32, "pass123")]
    [InlineData(100, 3, 64, "p\u00e4ssw\u00f6rd")]
    [InlineData(19_456, 2, 32, "correct horse battery staple")]
    [InlineData(65_536, 1, 48, "\0")]
    public void Both_libraries_give_the_same_tag(int memoryKib, int iterations, int tagBytes, string password)
    {
        var cost = new Argon2Cost(memoryKib, iterations, 1);
        byte[] bytes = password.Length == 0 ? [7] : Encoding.UTF8.GetBytes(password); // The managed library refuses the empty password.

        Assert.Equal(
            Convert.ToHexString(Argon2.DeriveManaged(bytes, Salt, cost, tagBytes)),
            Convert.ToHexString(Argon2.DeriveBySodium(bytes, Salt, cost, tagBytes)));
    }

    /// <summary>The vector of several lanes, a short salt and a short tag: what libsodium refuses is not asked of it.</summary>
    [Theory]
    [InlineData(2, 16, 32)]
    [InlineData(1, 8, 32)]
    [InlineData(1, 16, 8)]
    public async Task What_libsodium_does_not_do_is_done_by_the_managed_library(int lanes, int saltBytes, int tagBytes)
    {
        var cost = new Argon2Cost(64, 1, lanes);
        byte[] salt = Salt[..saltBytes];
        byte[] password = Encoding.UTF8.GetBytes("pass123");

        Assert.False(Argon2.CanSodium(salt, cost, tagBytes));
        Assert.Equal(
            Convert.ToHexString(Argon2.DeriveManaged(password, salt, cost, tagBytes)),
            Convert.ToHexString(await Argon2.DeriveAsync([.. password], salt, cost, tagBytes)));
    }

    [Fact]
    public async Task The_password_is_overwritten_after_use()
    {
        byte[] password = Encoding.UTF8.GetBytes("pass123");

        await Argon2.DeriveAsync(password, Salt, new Argon2Cost(64, 1, 1), 32);

        Assert.Equal(new byte[7], password);
    }

    [Fact]
    public async Task A_hash_that_fails_throws_where_it_is_awaited()
    {
        await Assert.ThrowsAnyAsync<ArgumentException>(() => Argon2.DeriveAsync([1], Salt, new Argon2Cost(1, 1, 1), 32));
    }
}
