namespace Chat.Server.Settings;

/// <summary>
/// What settings ask of each other. A limit that contradicts another would show up at the worst time, under load; here it
/// stops the start instead.
/// </summary>
internal static class SettingRelations
{
    // One code point of JSON text takes at most 12 bytes: two \uXXXX escapes for a character outside the basic plane (RFC 8259 section 7).
    private const int JsonBytesPerCharMax = 12;

    // The other members of a command, event or request: names, ids, times, nonce.
    private const int JsonEnvelopeBytesMax = 1024;

    /// <summary>Null when all hold, else the message for the user.</summary>
    public static string? FindBroken(SettingValues values)
    {
        var certFile = values.Get(SettingTable.TlsCertFile);
        var keyFile = values.Get(SettingTable.TlsKeyFile);
        if (certFile.Length == 0 != (keyFile.Length == 0))
        {
            var (given, missing) = certFile.Length > 0
                ? (SettingTable.TlsCertFile, SettingTable.TlsKeyFile)
                : (SettingTable.TlsKeyFile, SettingTable.TlsCertFile);
            return $"{missing.Name}: expected a path, because {given.Name} (from {values.SourceOf(given)}) is set.";
        }

        if (values.Get(SettingTable.ProxyProtocol) == ProxyProtocolUse.On)
        {
            var source = $"because {SettingTable.ProxyProtocol.Name} (from {values.SourceOf(SettingTable.ProxyProtocol)}) is on";
            if (values.Get(SettingTable.TrustedProxies).IsEmpty)
            {
                return $"{SettingTable.TrustedProxies.Name}: expected the proxies that send the header, {source}.";
            }
            if (certFile.Length > 0)
            {
                return $"{SettingTable.TlsCertFile.Name}: expected no certificate, {source}: the header stands before the TLS handshake.";
            }
        }

        if (values.Get(SettingTable.RedisUrl).Length > 0)
        {
            var source = $"because {SettingTable.RedisUrl.Name} (from {values.SourceOf(SettingTable.RedisUrl)}) is set";
            if (values.Get(SettingTable.DatabaseUrl).Length == 0)
            {
                return $"{SettingTable.DatabaseUrl.Name}: expected the PostgreSQL that all nodes share, {source}.";
            }
            if (values.Get(SettingTable.JwtSecret).Length == 0)
            {
                return $"{SettingTable.JwtSecret.Name}: expected the key that all nodes sign with, {source}.";
            }
            if (values.Get(SettingTable.Delivery) == DeliveryOrder.Immediate && values.SourceOf(SettingTable.Delivery) != SettingValues.DefaultSource)
            {
                return $"{SettingTable.Delivery.Name}: expected committed, {source}: the database numbers what several nodes write.";
            }
        }

        return AtMost(SettingTable.PasswordCharsMin, SettingTable.PasswordCharsMax)
            ?? AtMost(SettingTable.WsPongTimeoutMs, SettingTable.WsPingIntervalMs)
            ?? AtMost(SettingTable.RingBytesMin, SettingTable.RingBytesMax)
            ?? AtMost(SettingTable.BatchRowsMax, SettingTable.MessageLogRowsMax)
            ?? AtMost(SettingTable.BatchBytesMax, SettingTable.MessageLogBytesMax)
            ?? Holds(SettingTable.WsMessageBytesMax, SettingTable.ContentCharsMax)
            ?? Holds(SettingTable.HttpBodyBytesMax, SettingTable.ContentCharsMax)
            ?? Holds(SettingTable.HttpBodyBytesMax, SettingTable.PasswordCharsMax)
            ?? Holds(SettingTable.RingBytesMax, SettingTable.ContentCharsMax)
            ?? Holds(SettingTable.BacklogBytesMax, SettingTable.ContentCharsMax)
            ?? Holds(SettingTable.ResumeBytesMax, SettingTable.ContentCharsMax)
            ?? Holds(SettingTable.BatchBytesMax, SettingTable.ContentCharsMax)
            ?? LetsThrough(SettingTable.ConnectionMessagesPerS, 1)
            ?? LetsThrough(SettingTable.ConnectionCommandsPerS, 1)
            ?? LetsThrough(SettingTable.ConnectionBytesPerS, values.Get(SettingTable.WsMessageBytesMax))
            ?? LetsThrough(SettingTable.UserMessagesPerS, 1)
            ?? LetsThrough(SettingTable.UserCommandsPerS, 1)
            ?? LetsThrough(SettingTable.UserBytesPerS, Math.Max(values.Get(SettingTable.WsMessageBytesMax), values.Get(SettingTable.HttpBodyBytesMax)))
            ?? Argon2Blocks();

        string? AtMost(Setting<int> lower, Setting<int> upper) => values.Get(lower) <= values.Get(upper)
            ? null
            : $"{lower.Name} is {values.Get(lower)} (from {values.SourceOf(lower)}): expected at most {upper.Name}, "
                + $"which is {values.Get(upper)} (from {values.SourceOf(upper)}).";

        string? Holds(Setting<int> bytesMax, Setting<int> charsMax)
        {
            var need = (values.Get(charsMax) * JsonBytesPerCharMax) + JsonEnvelopeBytesMax;
            return need <= values.Get(bytesMax)
                ? null
                : $"{bytesMax.Name} is {values.Get(bytesMax)} (from {values.SourceOf(bytesMax)}): expected at least {need}, "
                    + $"to hold {charsMax.Name} = {values.Get(charsMax)} (from {values.SourceOf(charsMax)}) as JSON.";
        }

        // A burst that holds less than the longest command would refuse that for ever.
        string? LetsThrough(Setting<int> perS, int need)
        {
            var burst = (long)values.Get(perS) * values.Get(SettingTable.RateBurstMs) / 1000;
            return values.Get(perS) == 0 || burst >= need
                ? null
                : $"{perS.Name} is {values.Get(perS)} (from {values.SourceOf(perS)}): expected a burst of at least {need}, "
                    + $"in {SettingTable.RateBurstMs.Name} = {values.Get(SettingTable.RateBurstMs)} "
                    + $"(from {values.SourceOf(SettingTable.RateBurstMs)}) it is {burst}.";
        }

        // RFC 9106 section 3.1: memory of at least 8 blocks of 1 KiB a lane.
        string? Argon2Blocks()
        {
            var need = 8 * values.Get(SettingTable.Argon2Parallelism);
            return values.Get(SettingTable.Argon2MemoryKib) >= need
                ? null
                : $"{SettingTable.Argon2MemoryKib.Name} is {values.Get(SettingTable.Argon2MemoryKib)} "
                    + $"(from {values.SourceOf(SettingTable.Argon2MemoryKib)}): expected at least {need}, 8 for each lane of "
                    + $"{SettingTable.Argon2Parallelism.Name}.";
        }
    }
}
