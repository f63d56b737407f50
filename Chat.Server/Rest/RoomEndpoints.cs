using System.Text;
using Chat.Protocol.Http;
using Chat.Protocol.Messages;
using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Server.Nodes;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Storage;

namespace Chat.Server.Rest;

/// <summary>Rooms, their members, their messages.</summary>
internal sealed class RoomEndpoints(
    IChatStore store,
    MessageLog log,
    RoomDirectory rooms,
    Subscriptions subscriptions,
    RateLimits? rates,
    AttemptLimit made,
    ServerMetrics metrics,
    RoomSettings settings,
    int epoch,
    TimeProvider time,
    NodeFeed? nodes = null)
{
    private const int HistoryLimitDefault = 50;
    private const int HistoryLimitMax = 200;

    /// <summary>Of rooms and members: some 1 MB, and most servers in one page.</summary>
    private const int ListLimitMax = 10_000;

    /// <summary>
    /// The list of rooms is read again after this long. Rooms are created through this server, which drops the list then;
    /// only a room made by hand in the database shows up this late. Heads and who is online are always of now.
    /// </summary>
    private static readonly TimeSpan RoomListAgeMax = TimeSpan.FromSeconds(1);

    private static readonly Response BadPage =
        Problem.BadParameter($"after must be an integer from 0 on, and limit from 1 to {ListLimitMax}.");

    private RoomList? _list;
    private Func<RoomRecord, RoomNow>? _now; // One delegate for all answers.
    private int _listVersion;

    public IReadOnlyList<Route> Routes =>
    [
        new(RequestMethod.Get, "/rooms", NeedsToken: true, ListAsync),
        new(RequestMethod.Post, "/rooms", NeedsToken: true, CreateAsync),
        new(RequestMethod.Get, "/rooms/{id}", NeedsToken: true, GetAsync),
        new(RequestMethod.Get, "/rooms/{id}/messages", NeedsToken: true, ReadMessagesAsync),
        new(RequestMethod.Post, "/rooms/{id}/messages", NeedsToken: true, SendMessageAsync),
        new(RequestMethod.Get, "/rooms/{id}/members", NeedsToken: true, ListMembersAsync),
        new(RequestMethod.Post, "/rooms/{id}/members", NeedsToken: true, JoinAsync),
        new(RequestMethod.Delete, "/rooms/{id}/members", NeedsToken: true, LeaveAsync),
    ];

    private ValueTask<Response> ListAsync(RestCall call)
    {
        if (!TryReadPage(call, out long after, out int limit))
        {
            return new(BadPage);
        }

        if (after != 0 || limit != ListLimitMax)
        {
            return ReadPageAsync(call, after, limit);
        }

        RoomList? list = Volatile.Read(ref _list);
        return list is not null && time.GetElapsedTime(list.ReadAt) < RoomListAgeMax
            ? new(ToResponse(call, list))
            : ReadListAsync(call);
    }

    private async ValueTask<Response> ReadPageAsync(RestCall call, long after, int limit) =>
        ToResponse(call, new RoomList(await store.ListRoomsAsync(after, limit + 1, call.Aborted), limit, time.GetTimestamp()));

    /// <summary>The first page, of the usual size, which is kept.</summary>
    private async ValueTask<Response> ReadListAsync(RestCall call)
    {
        int version = Volatile.Read(ref _listVersion);
        var list = new RoomList(await store.ListRoomsAsync(0, ListLimitMax + 1, call.Aborted), ListLimitMax, time.GetTimestamp());
        Volatile.Write(ref _list, list);
        // A room was created while we read, perhaps behind our back: whoever created it must find it in the next list.
        if (version != Volatile.Read(ref _listVersion))
        {
            Volatile.Write(ref _list, null);
        }

        return ToResponse(call, list);
    }

    private Response ToResponse(RestCall call, RoomList list)
    {
        byte[] json = call.RentContent(list.BytesMax);
        var response = new Response(200, json.AsMemory(0, list.Write(json, _now ??= Now)));
        return list.Next is { } after ? WithNext(response, "/rooms", after, list.Limit) : response;
    }

    private async ValueTask<Response> GetAsync(RestCall call)
    {
        RoomRecord? record = call.Id == 0 ? null : await store.FindRoomAsync(call.Id, call.Aborted);
        return record is null ? Problem.NoSuchRoom : Response.Json(200, ToJson(record), RestJson.Default.RoomJson);
    }

    private async ValueTask<Response> CreateAsync(RestCall call)
    {
        if (!RestJson.TryRead(call.Content, RestJson.Default.CreateRoomRequest, out CreateRoomRequest request))
        {
            return Problem.BadJson;
        }

        if (string.IsNullOrWhiteSpace(request.Name))
        {
            return Problem.BadField("name", "required", "A room needs a name.");
        }

        string name = request.Name.Trim();
        if (!PlainText.TryCount(name, out int characters) || name.Any(char.IsControl))
        {
            return Problem.BadField("name", "invalid", "A room's name may not hold control characters or lone surrogates.");
        }

        if (characters > settings.NameCharsMax)
        {
            return Problem.BadField("name", "too_long", $"A room's name has at most {settings.NameCharsMax} characters.");
        }

        byte[] user = BitConverter.GetBytes(call.Caller!.UserId);
        if (!made.TryTake(user, out int retryAfterSeconds))
        {
            metrics.RateLimited.Add();
            return Problem.TooManyRooms(retryAfterSeconds);
        }

        RoomRecord record;
        try
        {
            record = await store.CreateRoomAsync(name, call.Aborted);
        }
        catch (StoreUnavailableException)
        {
            made.GiveBack(user); // None was made, as far as anybody knows.
            throw;
        }

        Interlocked.Increment(ref _listVersion); // Before the list is dropped: see ReadListAsync.
        Volatile.Write(ref _list, null);
        return Response.Json(201, ToJson(record), RestJson.Default.RoomJson).With("Location", $"/rooms/{record.Id}");
    }

    private async ValueTask<Response> ReadMessagesAsync(RestCall call)
    {
        if (!call.TryReadQuery("before"u8, out long? before)
            || !call.TryReadQuery("after"u8, out long? after)
            || !call.TryReadQuery("limit"u8, out long? limit)
            || limit is < 1 or > HistoryLimitMax)
        {
            return Problem.BadParameter($"before and after must be integers from 0 on, and limit from 1 to {HistoryLimitMax}.");
        }

        if (before is not null && after is not null)
        {
            return Problem.BadParameter("Give before or after, not both.");
        }

        Room? room = rooms.FindLoaded(call.Id);
        if (room is null && !await ExistsAsync(call))
        {
            return Problem.NoSuchRoom;
        }

        // A reader sees what it just heard live: in immediate order that includes what is not durable yet.
        room?.Touch();
        int count = (int)(limit ?? HistoryLimitDefault);
        HistoryPage page = room is null
            ? await log.ReadDurableAsync(call.Id, before, after, count, call.Aborted)
            : await log.ReadHistoryAsync(room.Log, before, after, count, seenSeq: room.HeadSeq, call.Aborted);
        return Response.Json(
            200, new HistoryJson([.. page.Messages.Select(ToJson)], page.HasMore, epoch), RestJson.Default.HistoryJson);
    }

    private async ValueTask<Response> SendMessageAsync(RestCall call)
    {
        if (!RestJson.TryRead(call.Content, RestJson.Default.SendMessageRequest, out SendMessageRequest request))
        {
            return Problem.BadJson;
        }

        if (string.IsNullOrEmpty(request.Content))
        {
            return Problem.BadField("content", "required", "A message needs content.");
        }

        if (!PlainText.TryCount(request.Content, out int characters) || request.Content.Contains('\0'))
        {
            return Problem.BadField("content", "invalid", "Content may not hold NUL or lone surrogates.");
        }

        if (characters > settings.ContentCharsMax)
        {
            return Problem.BadField("content", "too_long", $"Content has at most {settings.ContentCharsMax} characters.");
        }

        if (request.Nonce is { } nonce
            && (!PlainText.TryCount(nonce, out characters) || characters is < 1 or > CommandParser.NonceCharactersMax || nonce.Any(char.IsControl)))
        {
            return Problem.BadField("nonce", "invalid", $"A nonce has 1 to {CommandParser.NonceCharactersMax} printable characters.");
        }

        CancellationToken aborted = call.Aborted;
        TokenIdentity caller = call.Caller!;
        // Its bytes have been counted with the call.
        if (rates is not null && rates.TakeMessage(caller.UserId, 0, rates.NowMs) is > 0 and int retryAfterMs)
        {
            metrics.RateLimited.Add();
            return Problem.RateLimited(retryAfterMs);
        }

        (Room? room, Response? refusal) = await EnterAsync(call);
        if (room is null)
        {
            return refusal!;
        }

        byte[] content = Encoding.UTF8.GetBytes(request.Content);
        byte[] nonceUtf8 = Encoding.UTF8.GetBytes(request.Nonce ?? "");
        var publication = new RestPublication();
        (OfferStatus status, long seq) = await OfferAsync(room, caller.Sender, content, nonceUtf8, publication);
        switch (status)
        {
            case OfferStatus.Full:
            case OfferStatus.Overloaded:
                return Problem.Overloaded(log.RetryAfterMs);
            case OfferStatus.Duplicate:
                return await FindAsync(room, seq, aborted) is { } original
                    ? Response.Json(201, ToJson(original) with { Duplicate = true }, RestJson.Default.MessageJson)
                    : Problem.NotStored;
        }

        // Not cancelled when the client goes: the message is on its way, and its place in the room is taken.
        RestPublication.Outcome outcome = await publication.Result;
        return outcome switch
        {
            { Record: { } record } =>
                Response.Json(201, ToJson(record) with { Duplicate = outcome.IsDuplicate }, RestJson.Default.MessageJson),
            { ErrorCode: ErrorCode.Overloaded } => Problem.Overloaded(log.RetryAfterMs),
            { ErrorCode: ErrorCode.UnknownUser } => Problem.UnknownUser,
            { ErrorCode: ErrorCode.Unavailable } => Problem.StoreUnavailable,
            _ => Problem.NotStored,
        };
    }

    /// <summary>Waits for the readers of a full ring, as long as a session does.</summary>
    private async ValueTask<(OfferStatus Status, long Seq)> OfferAsync(Room room, Sender sender, byte[] content, byte[] nonce, IPublisher publisher)
    {
        long startedAt = time.GetTimestamp();
        while (true)
        {
            OfferStatus status = room.Offer(sender, content, nonce, publisher, out long seq, out _);
            if (status != OfferStatus.Full || time.GetElapsedTime(startedAt).TotalMilliseconds >= Room.FullRingWaitMs)
            {
                return (status, seq);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(Room.FullRingRetryMs), time);
        }
    }

    private async ValueTask<MessageRecord?> FindAsync(Room room, long seq, CancellationToken aborted)
    {
        HistoryPage page = await log.ReadHistoryAsync(room.Log, seq + 1, seq - 1, 1, seenSeq: seq, aborted);
        return page.Messages.Count == 1 ? page.Messages[0] : null;
    }

    private async ValueTask<Response> ListMembersAsync(RestCall call)
    {
        if (!TryReadPage(call, out long after, out int limit))
        {
            return BadPage;
        }

        if (rooms.FindLoaded(call.Id) is null && !await ExistsAsync(call))
        {
            return Problem.NoSuchRoom;
        }

        IReadOnlyList<MemberRecord> members = await store.ListMembersAsync(call.Id, after, limit + 1, call.Aborted);
        Response response = Response.Json(
            200,
            members.Take(limit).Select(static member => new MemberJson(member.UserId, member.Username, RestJson.Timestamp(member.JoinedAt))).ToList(),
            RestJson.Default.ListMemberJson);
        return members.Count > limit ? WithNext(response, $"/rooms/{call.Id}/members", members[limit - 1].UserId, limit) : response;
    }

    /// <summary>Of a room that is not loaded: who only reads does not load it.</summary>
    private async ValueTask<bool> ExistsAsync(RestCall call) => call.Id != 0 && await store.FindRoomAsync(call.Id, call.Aborted) is not null;

    /// <summary>Which part of a list by id is asked for; without a word of it, the first, as long as it may be.</summary>
    private static bool TryReadPage(RestCall call, out long after, out int limit)
    {
        bool isSound = call.TryReadQuery("after"u8, out long? afterGiven) & call.TryReadQuery("limit"u8, out long? limitGiven);
        after = afterGiven ?? 0;
        limit = (int)Math.Clamp(limitGiven ?? ListLimitMax, 0, ListLimitMax + 1);
        return isSound && limit is > 0 and <= ListLimitMax;
    }

    /// <summary>RFC 8288.</summary>
    private static Response WithNext(Response response, string path, long after, int limit) =>
        response.With("Link", $"<{path}?after={after}&limit={limit}>; rel=\"next\"");

    private async ValueTask<Response> JoinAsync(RestCall call)
    {
        (_, Response? refusal) = await EnterAsync(call);
        return refusal ?? Response.NoContent;
    }

    /// <summary>The room, which the caller has joined; or why not. Exactly one of the two is not null.</summary>
    private async ValueTask<(Room? Room, Response? Refusal)> EnterAsync(RestCall call)
    {
        try
        {
            Room? room = call.Id == 0 ? null : await subscriptions.JoinAsync(call.Id, call.Caller!.UserId, call.Aborted);
            return room is null ? (null, Problem.NoSuchRoom) : (room, null);
        }
        catch (KeyNotFoundException)
        {
            return (null, Problem.UnknownUser); // The token is good, and its account is not in this database.
        }
    }

    private async ValueTask<Response> LeaveAsync(RestCall call)
    {
        if (call.Id == 0 || await rooms.FindAsync(call.Id, call.Aborted) is not { } room)
        {
            return Problem.NoSuchRoom;
        }

        await subscriptions.LeaveAsync(room, call.Caller!.UserId, call.Aborted);
        return Response.NoContent;
    }

    private RoomNow Now(RoomRecord record)
    {
        Room? room = rooms.FindLoaded(record.Id);
        return new RoomNow(Math.Max(record.LastSeq, room?.HeadSeq ?? 0), (room?.MemberCount ?? 0) + (nodes?.ConnectionsElsewhere(record.Id) ?? 0));
    }

    private RoomJson ToJson(RoomRecord record)
    {
        RoomNow now = Now(record);
        return new RoomJson(record.Id, record.Name, RestJson.Timestamp(record.CreatedAt), now.LastSeq, now.Online);
    }

    private static MessageJson ToJson(MessageRecord message) => new(
        "message",
        message.RoomId,
        message.Seq,
        message.Id,
        message.SenderId,
        message.SenderName,
        Encoding.UTF8.GetString(message.Content.Span),
        message.Nonce,
        RestJson.Timestamp(DateTimeOffset.FromUnixTimeMilliseconds(message.CreatedAtUnixMs)),
        message.IsTombstone,
        false);
}
