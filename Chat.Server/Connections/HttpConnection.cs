using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using Chat.Protocol;
using Chat.Protocol.Http;
using Chat.Protocol.WebSocket;
using Chat.Server.Rest;
using Chat.Server.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Chat.Server.Connections;

/// <summary>
/// One connection while it speaks HTTP/1.1: reads requests, has them answered in their order, and ends with a close or with
/// an accepted WebSocket handshake. All requests that are in the buffer are answered
/// before one flush, unless one has to be waited for.
/// <para>
/// The deadline is one number that a sweep looks at: a total for a head and for a body, however the bytes trickle in.
/// </para>
/// </summary>
internal sealed class HttpConnection : IDisposable
{
    /// <summary>
    /// Answers to pipelined requests are flushed together, but not beyond this: a request of 400 bytes can ask for a page of
    /// 800 KB, and a peer that reads no answers must stop us from making more.
    /// </summary>
    private const int UnflushedBytesMax = 64 * 1024;

    /// <summary>Content up to this size keeps its buffer while the connection waits for its next request.</summary>
    private const int IdleBodyBytesMax = 4096;

    private readonly ConnectionContext _context;
    private readonly HttpServices _services;
    private readonly PipeReader _input;
    private readonly PipeWriter _output;
    private readonly RequestParser _parser;
    private readonly RequestHead _head = new();
    private readonly RestCall _call = new();
    private ArrayBufferWriter<byte> _body = new();
    private CountedContent? _counted;
    private long _deadlineMs;
    private IDisposable? _place;
    private PeerDeparture? _departure;

    public HttpConnection(ConnectionContext context, HttpServices services)
    {
        _context = context;
        _services = services;
        _input = context.Transport.Input;
        _output = context.Transport.Output;
        _parser = new RequestParser(services.ConformanceLimits ?? services.Limits); // The path decides, which it does not know yet.
        Peer = ClientAddresses.PeerOf(context.RemoteEndPoint);
    }

    private enum Phase
    {
        /// <summary>Between requests, or before the first.</summary>
        Idle,
        Head,
        Done,
    }

    /// <summary>Who has connected; after a PROXY header, who that says.</summary>
    public IPAddress Peer { get; private set; }

    /// <summary>Called by the sweep: ends the wait for a peer that is too slow. Any thread.</summary>
    public void ExpireIfDue(long nowMs)
    {
        long deadline = Volatile.Read(ref _deadlineMs);
        if (deadline == 0 || nowMs < deadline)
        {
            return;
        }

        if (nowMs > deadline + _services.BodyTimeoutMs)
        {
            _context.Abort(new ConnectionAbortedException("The peer does not take the answer.")); // It did not help to cancel the read.
            return;
        }

        _input.CancelPendingRead();
    }

    /// <summary>Ends a connection that waits for its next request, so that the server can stop. Any thread.</summary>
    public void ExpireNow()
    {
        Volatile.Write(ref _deadlineMs, 1);
        _input.CancelPendingRead();
    }

    /// <summary>Serves requests. Returns an accepted handshake, whose 101 has been written and not flushed, or null: close the connection.</summary>
    public async Task<AcceptedHandshake?> RunAsync()
    {
        SetDeadline(_services.HeadTimeoutMs); // A connection that never says anything gets no more than one that is slow.
        if (_services.Addresses.ExpectsProxyHeader(Peer) && !await ReadProxyHeaderAsync())
        {
            return null;
        }

        // Whoever comes through a proxy of ours is counted when it becomes a session: requests share the proxy's connections.
        if (!_services.Addresses.IsTrusted(Peer) && !_services.AddressLimit.TryEnter(Peer, out _place))
        {
            await Refusal.SendAsync(_context, _services, 429);
            return null;
        }

        Phase phase = Phase.Head;
        while (phase != Phase.Done)
        {
            ValueTask<ReadResult> reading = _input.ReadAsync();
            if (phase == Phase.Idle && !reading.IsCompleted)
            {
                ReleaseBuffers();
            }

            ReadResult read = await reading;
            if (IsExpired(read))
            {
                bool isIdle = phase == Phase.Idle || read.Buffer.IsEmpty;
                _input.AdvanceTo(read.Buffer.End);
                if (!isIdle)
                {
                    await RefuseAsync(new ProtocolError(408, "The request took too long."));
                }

                return null;
            }

            ReadOnlySequence<byte> buffer = read.Buffer;
            bool isReading = true; // Between ReadAsync and AdvanceTo.
            if (phase == Phase.Idle && !buffer.IsEmpty)
            {
                SetDeadline(_services.HeadTimeoutMs);
                phase = Phase.Head;
            }

            while (!buffer.IsEmpty)
            {
                ParseStatus status = _parser.TryParse(buffer, _head, out SequencePosition consumed, out ProtocolError error);
                if (status == ParseStatus.Invalid)
                {
                    _input.AdvanceTo(buffer.End);
                    await RefuseAsync(error);
                    return null;
                }

                if (status == ParseStatus.NeedMore)
                {
                    break;
                }

                buffer = buffer.Slice(consumed);
                _services.Metrics.Requests.Add();
                if (_head.IsTargetHttps && !IsSecured())
                {
                    Advance(isReading, buffer.End);
                    await RefuseAsync(RequestErrors.NotSecured);
                    return null;
                }

                if (_head.HasContent)
                {
                    _input.AdvanceTo(buffer.Start);
                    if (!await ReadBodyAsync())
                    {
                        return null;
                    }

                    isReading = _input.TryRead(out read);
                    buffer = isReading ? read.Buffer : default;
                }

                SetDeadline(0); // Our own time is not the client's.
                bool isUpgrade = Handshake.IsUpgrade(_head);
                if (isUpgrade && _head.VersionMinor == 1 && Upgrades.IsWebSocketPath(_head.Path, _services.ConformanceLimits is not null))
                {
                    Advance(isReading, buffer.Start);
                    return await UpgradeAsync();
                }

                // What follows an upgrade that does not come about could be frames, and must not be read as a request.
                bool keepAlive = await AnswerAsync(_head.KeepAlive && !isUpgrade && !_services.IsStopping);
                _head.Reset();
                _body.ResetWrittenCount();
                _counted = null;
                if (!keepAlive)
                {
                    Advance(isReading, buffer.End);
                    await FlushLastAsync();
                    return null;
                }

                phase = buffer.IsEmpty ? Phase.Idle : Phase.Head;
                SetDeadline(buffer.IsEmpty ? _services.KeepAliveTimeoutMs : _services.HeadTimeoutMs);
                if (_output.UnflushedBytes > UnflushedBytesMax && !await FlushAsync())
                {
                    Advance(isReading, buffer.Start);
                    return null;
                }
            }

            if (isReading)
            {
                _input.AdvanceTo(buffer.Start, buffer.End);
            }

            if (!await FlushAsync() || (isReading && read.IsCompleted))
            {
                phase = Phase.Done;
            }
        }

        return null;
    }

    /// <summary>The connection's place among those of its address, for the session that goes on with it; null when nobody counts.</summary>
    public IDisposable? TakePlace()
    {
        IDisposable? place = _place;
        _place = null;
        return place;
    }

    public void Dispose()
    {
        _departure?.Dispose();
        _head.Dispose();
        TakePlace()?.Dispose();
    }

    /// <summary>The next request may be a minute away, and there may be thousands of connections that wait for theirs.</summary>
    private void ReleaseBuffers()
    {
        _head.Dispose();
        if (_body.Capacity > IdleBodyBytesMax)
        {
            _body = new ArrayBufferWriter<byte>();
        }
    }

    /// <summary>False: answered with an error, or the peer is gone or too slow.</summary>
    private async Task<bool> ReadProxyHeaderAsync()
    {
        while (true)
        {
            ReadResult read = await _input.ReadAsync();
            ParseStatus status = ProxyHeader.TryParse(read.Buffer, out SequencePosition consumed, out IPAddress? source);
            _input.AdvanceTo(consumed, status == ParseStatus.NeedMore ? read.Buffer.End : consumed);
            if (status == ParseStatus.Complete)
            {
                Peer = source ?? Peer;
                return true;
            }

            if (status == ParseStatus.Invalid)
            {
                await RefuseAsync(ProxyHeader.Malformed);
                return false;
            }

            if (read.IsCompleted || IsExpired(read))
            {
                return false;
            }
        }
    }

    /// <summary>Reads the content of the current request into <see cref="_body"/>, or counts it. False: answered with an error, or the peer is gone.</summary>
    private async Task<bool> ReadBodyAsync()
    {
        HttpLimits limits = _services.Limits;
        if (_services.ConformanceLimits is { } conformanceLimits && ConformanceEndpoint.IsPath(_head.Path))
        {
            limits = conformanceLimits;
            _counted = new CountedContent();
        }

        if (_head.ContentLength > limits.BodyBytesMax)
        {
            await RefuseAsync(new ProtocolError(413, "The content is too large."));
            return false;
        }

        SetDeadline(_services.BodyTimeoutMs);
        var body = new RequestBody(_head, limits);
        IBufferWriter<byte> content = _counted is null ? _body : _counted;
        bool mayContinue = _head.ExpectContinue;
        while (true)
        {
            if (!_input.TryRead(out ReadResult read))
            {
                if (mayContinue)
                {
                    ResponseWriter.WriteContinue(_output); // Only for a client that really waits.
                }

                if (_output.UnflushedBytes > 0)
                {
                    await FlushAsync(); // The client may hold back content until it has the answers to earlier requests.
                }

                read = await _input.ReadAsync();
            }

            mayContinue = false;
            ReadOnlySequence<byte> buffer = read.Buffer;
            BodyStatus status = body.TryRead(ref buffer, content, out ProtocolError error);
            _input.AdvanceTo(buffer.Start, status == BodyStatus.NeedMore ? buffer.End : buffer.Start);
            if (status == BodyStatus.Complete)
            {
                return true;
            }

            if (status == BodyStatus.Invalid)
            {
                await RefuseAsync(error);
                return false;
            }

            if (IsExpired(read))
            {
                await RefuseAsync(new ProtocolError(408, "The content took too long."));
                return false;
            }

            if (read.IsCompleted)
            {
                return false;
            }
        }
    }

    /// <summary>Whether the connection goes on: not after telling a client to upgrade, who may have taken that for granted.</summary>
    private async ValueTask<bool> AnswerAsync(bool mayKeepAlive)
    {
        _call.Begin(_head, _body.WrittenMemory, _counted?.Count ?? _body.WrittenCount, Peer, PeerGone);
        ValueTask<Response> answer = _services.Application.Router.AnswerAsync(_call);
        if (!answer.IsCompleted && _output.UnflushedBytes > 0)
        {
            SetDeadline(_services.HeadTimeoutMs); // The peer's time again.
            await FlushAsync();
            SetDeadline(0);
        }

        Response response = await answer;
        bool keepAlive = mayKeepAlive && response.Status != Problem.UpgradeRequired.Status;
        Write(response, keepAlive);
        _call.End();
        return keepAlive;
    }

    private void Write(Response response, bool keepAlive)
    {
        var writer = new ResponseWriter(_output, _head, response.Status, _services.Date.Now, keepAlive);
        _services.Cors.WriteFields(ref writer, _head);
        foreach ((byte[] name, byte[] value) in response.Fields)
        {
            writer.WriteField(name, value);
        }

        if (response.Status == 204)
        {
            writer.End();
        }
        else
        {
            writer.End(response.ContentType, response.Content.Span);
        }
    }

    private async Task<AcceptedHandshake?> UpgradeAsync()
    {
        (AcceptedHandshake? accepted, Response? refusal) = _services.Application.Upgrades is { } upgrades
            ? await upgrades.ReadAsync(_head, PeerGone)
            : (null, Problem.StoreUnavailable);
        if (accepted is not null && _services.Addresses.IsTrusted(Peer)
            && !_services.AddressLimit.TryEnter(_services.Addresses.Resolve(Peer, _head), out _place))
        {
            _services.Metrics.ConnectionsRefused.Add();
            (accepted, refusal) = (null, Problem.TooManyConnections);
        }

        if (accepted is null)
        {
            // Closed also when the client would stay: what follows could be frames, and must not be read as a request.
            Write(refusal!, keepAlive: false);
            await FlushLastAsync();
            return null;
        }

        bool isSound = Handshake.TryRead(_head, out OpeningHandshake handshake, out _);
        Invariant.Require(isSound);
        if (_head.HasExpectContinue)
        {
            ResponseWriter.WriteContinue(_output); // RFC 9110 section 7.8: before the 101.
        }

        Handshake.WriteAccepted(_output, handshake, accepted.Deflate);
        return accepted;
    }

    /// <summary>Nobody is there any more to take an answer; not when the peer has only ended what it sends.</summary>
    private CancellationToken PeerGone =>
        _context is ShardConnection ? _context.ConnectionClosed : (_departure ??= new PeerDeparture(_context)).Token;

    /// <summary>By TLS here, or by a proxy of ours, which may have ended it.</summary>
    private bool IsSecured() =>
        _context.Features.Get<ITlsHandshakeFeature>() is not null
        || _services.Addresses.IsTrusted(ClientAddresses.PeerOf(_context.RemoteEndPoint));

    private void Advance(bool isReading, SequencePosition consumed)
    {
        if (isReading)
        {
            _input.AdvanceTo(consumed);
        }
    }

    private async Task RefuseAsync(ProtocolError error)
    {
        _services.Metrics.ProtocolErrors.Add();
        Response response = Problem.Of(error);
        var writer = new ResponseWriter(_output, _head.Method, response.Status, _services.Date.Now);
        writer.End(response.ContentType, response.Content.Span);
        await FlushLastAsync();
    }

    /// <summary>Nothing is answered after this. The peer has as long to take it as it would have had to send content.</summary>
    private async Task FlushLastAsync()
    {
        SetDeadline(_services.BodyTimeoutMs);
        await FlushAsync();
        (_output as SocketWriter)?.EndSending(); // Kestrel's own sockets know no half of a close.
        await Linger.DiscardAsync(_input, _services.BodyTimeoutMs, _services.Time, new LingerPace(_services.Limits.BodyBytesMax));
    }

    /// <summary>False when the peer is gone.</summary>
    private async ValueTask<bool> FlushAsync()
    {
        FlushResult flush = await _output.FlushAsync();
        return !flush.IsCompleted && !flush.IsCanceled;
    }

    /// <summary>
    /// The wait was ended, and its deadline has passed or the server stops. By itself the end of a wait tells nothing: it may have been meant for the
    /// one before, which had what it waited for in the same instant.
    /// </summary>
    private bool IsExpired(ReadResult read) =>
        read.IsCanceled && (_services.IsStopping || (Volatile.Read(ref _deadlineMs) is not 0 and long deadlineMs && _services.NowMs >= deadlineMs));

    private void SetDeadline(int timeoutMs) =>
        Volatile.Write(ref _deadlineMs, timeoutMs == 0 ? 0 : _services.NowMs + timeoutMs);
}
