using System.Collections.Concurrent;
using System.Threading.Channels;
using Chat.Server.Auth;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Server.Tests.Auth;

public sealed class PasswordHasherTests
{
    private static readonly Argon2Settings Cheap = new(MemoryKib: 64, Iterations: 1, Parallelism: 1, Concurrency: 2, QueueMax: 3);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static PasswordHasher Make(Argon2Settings settings, Argon2Function? argon2 = null) =>
        new(settings, NullLogger<PasswordHasher>.Instance, argon2);

    [Fact]
    public async Task A_hash_verifies_its_password_and_no_other()
    {
        var hasher = Make(Cheap);

        var hash = await hasher.HashAsync("pass123", Cancel);

        Assert.Matches(@"^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$", hash);
        Assert.Equal(PasswordVerdict.Match, await hasher.VerifyAsync("pass123", hash!, Cancel));
        Assert.Equal(PasswordVerdict.Mismatch, await hasher.VerifyAsync("pass124", hash!, Cancel));
        Assert.NotEqual(hash, await hasher.HashAsync("pass123", Cancel));
    }

    [Fact]
    public async Task The_default_settings_write_the_cost_that_owasp_names()
    {
        var hasher = Make(ServerSettings.Default.Argon2);

        var hash = await hasher.HashAsync("pässwörd 🔑", Cancel);

        Assert.StartsWith("$argon2id$v=19$m=19456,t=2,p=1$", hash);
        Assert.Equal(PasswordVerdict.Match, await hasher.VerifyAsync("pässwörd 🔑", hash!, Cancel));
    }

    /// <summary>From test.c of the reference implementation (P-H-C/phc-winner-argon2).</summary>
    [Theory]
    [InlineData("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")]
    [InlineData("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")]
    public async Task Hashes_of_the_reference_implementation_verify_and_ask_to_be_made_again(string hash)
    {
        var hasher = Make(Cheap);

        Assert.Equal(PasswordVerdict.MatchNeedsRehash, await hasher.VerifyAsync("password", hash, Cancel));
        Assert.Equal(PasswordVerdict.Mismatch, await hasher.VerifyAsync("passwore", hash, Cancel));
    }

    [Fact]
    public async Task No_more_than_the_limit_hash_at_once_and_beyond_the_queue_is_busy()
    {
        var gate = new ControlledArgon2();
        var hasher = Make(Cheap, gate.RunAsync);

        var admitted = Enumerable.Range(0, 5).Select(_ => hasher.HashAsync("pass123", Cancel)).ToArray();

        Assert.Equal(2, gate.Started);
        Assert.Equal(5, hasher.Pending);
        Assert.Null(await hasher.HashAsync("pass123", Cancel));
        Assert.Equal(PasswordVerdict.Busy, await hasher.VerifyUnknownAsync("pass123", Cancel));

        foreach (var _ in admitted)
        {
            await gate.FinishOneAsync(Cancel);
        }

        Assert.All(await Task.WhenAll(admitted), Assert.NotNull);
        Assert.Equal(5, gate.Started);
        Assert.Equal(2, gate.RunningMax);
        Assert.Equal(0, hasher.Pending);
    }

    [Fact]
    public async Task A_caller_that_gives_up_in_the_queue_makes_room_and_is_never_hashed()
    {
        var gate = new ControlledArgon2();
        var hasher = Make(Cheap with { Concurrency = 1, QueueMax = 1 }, gate.RunAsync);
        using var gone = new CancellationTokenSource();
        var running = hasher.HashAsync("one", Cancel);
        var waiting = hasher.HashAsync("two", gone.Token);
        Assert.Null(await hasher.HashAsync("three", Cancel));

        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        var next = hasher.HashAsync("four", Cancel);
        await gate.FinishOneAsync(Cancel);
        await gate.FinishOneAsync(Cancel);

        Assert.NotNull(await running);
        Assert.NotNull(await next);
        Assert.Equal(["one", "four"], gate.Passwords);
    }

    [Fact]
    public async Task A_hash_that_fails_frees_its_place()
    {
        var hasher = Make(
            Cheap with { Concurrency = 1, QueueMax = 0 },
            (_, _, _, _) => Task.FromException<byte[]>(new InvalidOperationException()));

        await Assert.ThrowsAsync<InvalidOperationException>(() => hasher.HashAsync("pass123", Cancel));
        await Assert.ThrowsAsync<InvalidOperationException>(() => hasher.HashAsync("pass123", Cancel));
        Assert.Equal(0, hasher.Pending);
    }

    [Fact]
    public async Task An_unknown_address_costs_the_same_work_as_a_wrong_password()
    {
        var work = new ConcurrentQueue<(int PasswordBytes, int SaltBytes, Argon2Cost Cost, int TagBytes)>();
        var hasher = Make(Cheap, (password, salt, cost, tagBytes) =>
        {
            work.Enqueue((password.Length, salt.Length, cost, tagBytes));
            return Task.FromResult(new byte[tagBytes]);
        });
        var real = Make(Cheap);
        var hash = await real.HashAsync("pass123", Cancel);

        Assert.Equal(PasswordVerdict.Mismatch, await hasher.VerifyAsync("wrong00", hash!, Cancel));
        Assert.Equal(PasswordVerdict.Mismatch, await hasher.VerifyUnknownAsync("wrong00", Cancel));

        Assert.Equal(2, work.Count);
        Assert.Single(work.Distinct());
    }

    [Fact]
    public async Task An_unreadable_stored_hash_is_a_mismatch_at_the_usual_cost_and_is_logged_without_it()
    {
        var runs = 0;
        var log = new LogLines();
        using var factory = log.CreateFactory();
        var hasher = new PasswordHasher(Cheap, factory.CreateLogger<PasswordHasher>(), (_, _, _, tagBytes) =>
        {
            runs++;
            return Task.FromResult(new byte[tagBytes]);
        });

        Assert.Equal(PasswordVerdict.Mismatch, await hasher.VerifyAsync("canary-password", "$2b$12$canary-hash", Cancel));

        Assert.Equal(1, runs);
        Assert.DoesNotContain("canary", Assert.Single(log.Lines));
    }

    [Fact]
    public void Retry_after_covers_a_full_queue()
    {
        var defaults = Make(ServerSettings.Default.Argon2 with { Concurrency = 1 });
        var cheap = Make(Cheap);

        Assert.Equal(2, defaults.RetryAfterSeconds);
        Assert.Equal(1, cheap.RetryAfterSeconds);
    }

    /// <summary>Runs that end when the test says so.</summary>
    private sealed class ControlledArgon2
    {
        private readonly Channel<TaskCompletionSource> _open = Channel.CreateUnbounded<TaskCompletionSource>();
        private readonly Lock _counting = new();
        private int _running;

        public int Started { get; private set; }

        public int RunningMax { get; private set; }

        public ConcurrentQueue<string> Passwords { get; } = new();

        public Task<byte[]> RunAsync(byte[] password, byte[] _, Argon2Cost __, int tagBytes) => RunAsync(password, tagBytes);

        private async Task<byte[]> RunAsync(byte[] password, int tagBytes)
        {
            var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_counting)
            {
                Started++;
                RunningMax = Math.Max(RunningMax, ++_running);
            }
            Passwords.Enqueue(System.Text.Encoding.UTF8.GetString(password));
            Assert.True(_open.Writer.TryWrite(end));
            await end.Task;
            lock (_counting)
            {
                _running--;
            }
            return new byte[tagBytes];
        }

        /// <summary>Waits until a run is open, then ends it.</summary>
        public async Task FinishOneAsync(CancellationToken cancellationToken) =>
            (await _open.Reader.ReadAsync(cancellationToken)).SetResult();
    }
}
