using System.Buffers;
using System.Net;
using Chat.Protocol;
using Chat.Protocol.Http;
using Chat.Server.Auth;

namespace Chat.Server.Rest;

/// <summary>One request on its way through the router. Reused by its connection: nothing of it may be kept after the answer.</summary>
internal sealed class RestCall
{
    private byte[]? _rented;

    public RequestHead Head { get; private set; } = null!;

    public ReadOnlyMemory<byte> Content { get; private set; }

    /// <summary>What the client sent as content; more than <see cref="Content"/> where that is only counted.</summary>
    public long ContentBytes { get; private set; }

    /// <summary>Who has connected: the client, or a proxy.</summary>
    public IPAddress Peer { get; private set; } = IPAddress.None;

    /// <summary>The client is gone.</summary>
    public CancellationToken Aborted { get; private set; }

    /// <summary>The <c>{id}</c> of the path, from 1 on; 0 when the path has none or it is no id.</summary>
    public long Id { get; set; }

    /// <summary>Who calls; null on routes that ask for no token.</summary>
    public TokenIdentity? Caller { get; set; }

    public void Begin(RequestHead head, ReadOnlyMemory<byte> content, long contentBytes, IPAddress peer, CancellationToken aborted)
    {
        Peer = peer;
        Head = head;
        Content = content;
        ContentBytes = contentBytes;
        Aborted = aborted;
        Id = 0;
        Caller = null;
    }

    /// <summary>
    /// For the content of the answer: at least so many bytes, with anything in them, which are the call's until it ends. Once for a call.
    /// </summary>
    public byte[] RentContent(int bytesMin)
    {
        Invariant.Require(_rented is null);
        return _rented = ArrayPool<byte>.Shared.Rent(bytesMin);
    }

    /// <summary>The answer has been written, and its content may be overwritten.</summary>
    public void End()
    {
        Content = default; // Its buffer is the connection's, which may let go of it.
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
            _rented = null;
        }
    }

    /// <summary>A non-negative number from the query. False when it is there and no such number.</summary>
    public bool TryReadQuery(ReadOnlySpan<byte> name, out long? value)
    {
        Span<byte> text = stackalloc byte[20];
        value = null;
        switch (QueryString.Get(Head.Query, name, text, out int length))
        {
            case QueryResult.Absent:
                return true;
            case QueryResult.Found when DecimalDigits.TryParse(text[..length], out long number):
                value = number;
                return true;
            default:
                return false;
        }
    }
}
