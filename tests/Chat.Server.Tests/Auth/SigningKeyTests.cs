using System.Text;
using Chat.Server.Auth;

namespace Chat.Server.Tests.Auth;

public sealed class SigningKeyTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("chat-key-").FullName;

    private string KeyFile => Path.Combine(_folder, SigningKey.FileName);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_given_secret_is_the_key_and_no_file_is_made()
    {
        const string Secret = "0123456789abcdef0123456789abcdef";

        Assert.True(SigningKey.TryOpen(Secret, _folder, out var key, out _));

        Assert.Equal(Encoding.UTF8.GetBytes(Secret), key!.Bytes);
        Assert.Null(key.GeneratedFile);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void The_first_start_makes_a_key_for_its_owner_only_and_the_second_reuses_it()
    {
        var folder = Path.Combine(_folder, "data");
        Assert.True(SigningKey.TryOpen("", folder, out var first, out _));
        Assert.True(SigningKey.TryOpen("", folder, out var second, out _));

        var file = Assert.Single(Directory.GetFiles(folder));
        Assert.Equal(file, first!.GeneratedFile);
        Assert.Null(second!.GeneratedFile);
        Assert.Equal(32, first.Bytes.Length);
        Assert.Equal(first.Bytes, second.Bytes);
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
        }
    }

    [Fact]
    public void Starts_that_race_get_one_key_and_exactly_one_has_made_it()
    {
        for (var round = 0; round < 20; round++)
        {
            var folder = Path.Combine(_folder, $"race{round}");
            var keys = new SigningKey?[4];
            using var start = new Barrier(keys.Length);
            var threads = keys.Select((_, index) => new Thread(() =>
            {
                start.SignalAndWait();
                SigningKey.TryOpen("", folder, out keys[index], out var _);
            })).ToArray();
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());

            Assert.Single(keys.Select(key => Convert.ToHexString(key!.Bytes)).Distinct());
            Assert.Single(keys, key => key!.GeneratedFile is not null);
            Assert.Equal([SigningKey.FileName], Directory.GetFiles(folder).Select(Path.GetFileName));
        }
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_key_that_others_can_open_is_refused_and_left_alone(UnixFileMode extra)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }
        Assert.True(SigningKey.TryOpen("", _folder, out _, out _));
        File.SetUnixFileMode(KeyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite | extra);
        var before = File.ReadAllText(KeyFile);

        Assert.False(SigningKey.TryOpen("", _folder, out var key, out var problem));

        Assert.Null(key);
        Assert.Contains($"chmod 600 {KeyFile}", problem);
        Assert.DoesNotContain(before.Trim(), problem);
        Assert.Equal(before, File.ReadAllText(KeyFile));
    }

    [Theory]
    [InlineData("")]
    [InlineData("not base64 at all!")]
    [InlineData("dG9vIHNob3J0")]
    public void A_malformed_key_is_refused_and_left_alone(string content)
    {
        WriteKey(content);

        Assert.False(SigningKey.TryOpen("", _folder, out _, out var problem));

        Assert.Contains("is not base64 of at least 32 bytes", problem);
        Assert.Equal(content, File.ReadAllText(KeyFile));
    }

    [Fact]
    public void A_key_file_of_any_size_is_read_only_so_far()
    {
        WriteKey(new string('A', 100_000));

        Assert.False(SigningKey.TryOpen("", _folder, out _, out var problem));
        Assert.Contains("is not base64", problem);
    }

    [Fact]
    public void A_data_folder_that_cannot_be_made_is_a_problem_and_no_exception()
    {
        var file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");

        Assert.False(SigningKey.TryOpen("", Path.Combine(file, "data"), out _, out var problem));
        Assert.Contains("cannot be opened", problem);
    }

    private void WriteKey(string content)
    {
        File.WriteAllText(KeyFile, content);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(KeyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
    }
}
