namespace Chat.Server;

/// <summary>The server cannot start as it is configured; the message is for the operator.</summary>
internal sealed class StartException(string message, Exception? innerException = null) : Exception(message, innerException);
