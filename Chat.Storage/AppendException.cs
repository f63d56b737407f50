namespace Chat.Storage;

/// <summary>What the message log does about a failed append.</summary>
public enum AppendErrorKind
{
    /// <summary>Connection, deadlock, timeout, disk full: the outcome may be unclear; send the same batch again as a resend.</summary>
    Transient,

    /// <summary>The data of some rows is at fault and nothing was committed: isolate them.</summary>
    BadRows,

    /// <summary>A row with another id is at the same (room, seq): two servers number one room. Stop.</summary>
    SequenceConflict,

    /// <summary>Another server took the database over. Stop.</summary>
    SessionLost,
}

/// <summary>Why one row was not stored, as told to the <c>failed</c> callback.</summary>
public enum AppendFailure
{
    /// <summary>Not valid UTF-8, contains NUL, or the database refuses it for another reason.</summary>
    InvalidRow,
    UnknownSender,

    /// <summary>There is no room to hold even a tombstone.</summary>
    UnknownRoom,

    /// <summary>The log stopped for good: another server numbers the same rooms, or took the database over.</summary>
    LogBroken,

    /// <summary>The drain's deadline passed first. The row may or may not be durable.</summary>
    ShutDown,
}

/// <summary>A row that the database refuses: its index in the batch, and why.</summary>
public readonly record struct BadRow(int Index, AppendFailure Failure);

/// <summary>Thrown by <see cref="IMessageWriter"/>; carries what the message log needs to decide.</summary>
public sealed class AppendException(
    AppendErrorKind kind, string message, Exception? innerException = null, IReadOnlyList<BadRow>? badRows = null)
    : Exception(message, innerException)
{
    /// <summary>Of <see cref="AppendErrorKind.SessionLost"/>.</summary>
    internal static AppendException SessionLost() => new(AppendErrorKind.SessionLost, "Another server took the database over.");

    public AppendErrorKind Kind { get; } = kind;

    /// <summary>
    /// The rows at fault, ascending; empty when the database did not say which. All rows whose room is missing are among them.
    /// </summary>
    public IReadOnlyList<BadRow> BadRows { get; } = badRows ?? [];
}
