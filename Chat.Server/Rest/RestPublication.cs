using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Rest;

/// <summary>A REST call that waits for its message to be durable.</summary>
internal sealed class RestPublication : IPublisher
{
    private readonly TaskCompletionSource<Outcome> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes after the commit, or when it is known that there will be none.</summary>
    public Task<Outcome> Result => _result.Task;

    public void Committed(MessageRecord record, bool isDuplicate) => _result.TrySetResult(new Outcome(record, isDuplicate, null));

    public void Failed(long roomId, string? nonce, string code) => _result.TrySetResult(new Outcome(null, false, code));

    internal readonly record struct Outcome(MessageRecord? Record, bool IsDuplicate, string? ErrorCode);
}
