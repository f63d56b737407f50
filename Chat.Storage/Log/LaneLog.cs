using Microsoft.Extensions.Logging;

namespace Chat.Storage;

/// <summary>What a lane writes to the log. Messages and their content never appear.</summary>
internal static partial class LaneLog
{
    [LoggerMessage(1, LogLevel.Warning, "Message log lane {Lane} cannot commit and keeps trying ({Rows} rows in the batch): {Reason}")]
    internal static partial void CannotCommit(ILogger logger, int lane, int rows, string reason);

    [LoggerMessage(2, LogLevel.Information, "Message log lane {Lane} commits again after {Attempts} failed attempts")]
    internal static partial void CommitsAgain(ILogger logger, int lane, int attempts);

    [LoggerMessage(3, LogLevel.Error, "Message log lane {Lane} could not store room {RoomId} seq {Seq} (message {MessageId}): {Failure}")]
    internal static partial void RowRefused(ILogger logger, int lane, long roomId, long seq, long messageId, AppendFailure failure);

    [LoggerMessage(4, LogLevel.Critical, "Message log lane {Lane} is broken and acknowledges nothing more; the server must stop")]
    internal static partial void Broken(ILogger logger, int lane, Exception cause);
}
