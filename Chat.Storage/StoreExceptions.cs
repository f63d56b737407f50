namespace Chat.Storage;

/// <summary>The database cannot be reached, or not now: connection refused or broken, shutting down, timeout, disk full, locked.</summary>
public sealed class StoreUnavailableException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Another server holds the database; starting a second one would number messages twice.</summary>
public sealed class StoreInUseException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>The schema is newer than this build knows, the database cannot hold it, or what is there is damaged. Needs a person.</summary>
public sealed class StoreSchemaException(string message, Exception? innerException = null) : Exception(message, innerException);
