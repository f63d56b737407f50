namespace Chat.Protocol.Http;

/// <summary>RFC 9110 section 9. Method names are case-sensitive: "get" is <see cref="Other"/>.</summary>
public enum RequestMethod : byte
{
    /// <summary>A well-formed name that we do not route; its bytes are in <see cref="RequestHead.MethodName"/>.</summary>
    Other,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
}
