using System.IO.Pipelines;
using System.Net;
using System.Text;
using Chat.Protocol.Http;
using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Server.Rest;
using Chat.Server.Settings;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Server.Tests.Connections;

/// <summary>A connection over pipes that run it on the test's thread, at a time that the test tells.</summary>
public sealed class HttpConnectionTests
{
    private const int TimeoutMs = 1000;

    private readonly SteppedTime _time = new();
    private readonly Pipe _input = new(new PipeOptions(
        readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));

    private readonly Pipe _output = new();

    [Fact]
    public async Task A_deadline_that_passes_as_content_becomes_complete_says_nothing_about_the_next_request()
    {
        var reader = new WatchedReader(_input.Reader);
        using HttpConnection connection = Connect(reader);
        Task ended = connection.RunAsync();
        await SendAsync("POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[");
        reader.OnAdvanced = () =>
        {
            _time.Step(TimeoutMs);
            connection.ExpireIfDue(_time.GetTimestamp());
        };
        await SendAsync("]");
        Assert.StartsWith("HTTP/1.1 405 ", TakeAnswer(), StringComparison.Ordinal);

        await SendAsync("POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[");
        Assert.Equal("", TakeAnswer());
        await SendAsync("]");
        Assert.StartsWith("HTTP/1.1 405 ", TakeAnswer(), StringComparison.Ordinal);

        await _input.Writer.CompleteAsync();
        await ended.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
    }

    private HttpConnection Connect(PipeReader input)
    {
        Assert.True(SigningKey.TryOpen("0123456789abcdef0123456789abcdef", "", out SigningKey? key, out _));
        var tokens = new TokenService(ServerSettings.Default.Token, key!, TimeProvider.System);
        var metrics = new ServerMetrics();
        var services = new HttpServices
        {
            Limits = new Chat.Protocol.Http.HttpLimits(),
            ConformanceLimits = null,
            HeadTimeoutMs = TimeoutMs,
            BodyTimeoutMs = TimeoutMs,
            KeepAliveTimeoutMs = TimeoutMs,
            Application = new Application(
                new Router(SystemEndpoints.WaitingRoutes, tokens, null, metrics, NullLogger<Router>.Instance), Upgrades: null, Sessions: null),
            Cors = new Cors([]),
            Addresses = new ClientAddresses([], readsForwarded: false, expectsProxyHeader: false),
            AddressLimit = new AddressLimit(0),
            Metrics = metrics,
            Date = new HttpDate(TimeProvider.System),
            Time = _time,
        };
        var context = new DefaultConnectionContext("", new DuplexPipe(input, _output.Writer), new DuplexPipe(_output.Reader, _input.Writer))
        {
            RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 1),
        };
        return new HttpConnection(context, services);
    }

    /// <summary>The connection has done with it what it can when this returns.</summary>
    private async Task SendAsync(string text) => await _input.Writer.WriteAsync(Encoding.ASCII.GetBytes(text));

    /// <summary>What has been answered until now.</summary>
    private string TakeAnswer()
    {
        if (!_output.Reader.TryRead(out ReadResult read))
        {
            return "";
        }

        string answer = Encoding.ASCII.GetString(read.Buffer);
        _output.Reader.AdvanceTo(read.Buffer.End);
        return answer;
    }

    private sealed record DuplexPipe(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>Lets something happen in the instant after its next <see cref="AdvanceTo(SequencePosition, SequencePosition)"/>.</summary>
    private sealed class WatchedReader(PipeReader reader) : PipeReader
    {
        public Action? OnAdvanced { get; set; }

        public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
        {
            reader.AdvanceTo(consumed, examined);
            Action? then = OnAdvanced;
            OnAdvanced = null;
            then?.Invoke();
        }

        public override void CancelPendingRead() => reader.CancelPendingRead();

        public override void Complete(Exception? exception = null) => reader.Complete(exception);

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => reader.ReadAsync(cancellationToken);

        public override bool TryRead(out ReadResult result) => reader.TryRead(out result);
    }
}
