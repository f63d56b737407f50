using System.Globalization;
using System.Text;

namespace Chat.LoadTests.Clients;

/// <summary>
/// A keep-alive connection that makes one call after the other, as a closed loop does. It reads of an answer what it needs
/// to find its end: the status and the length of the content.
/// </summary>
internal sealed class RestClient(ClientLoop loop, RestMix mix) : Client(loop)
{
    private RestCall? _call;
    private long _sentNs;

    /// <summary>Makes no further call.</summary>
    public bool IsStopping { get; set; }

    protected override void OnConnected() => SendNext();

    protected override int OnReceived(Span<byte> bytes, long nowNs)
    {
        ReadOnlySpan<byte> input = bytes;
        int headBytes = input.IndexOf("\r\n\r\n"u8) + 4;
        if (headBytes < 4 || !TryReadLength(input[..headBytes], out int contentBytes) || input.Length < headBytes + contentBytes)
        {
            return 0;
        }

        int status = Status(input);
        if (status == _call!.Status)
        {
            Loop.Counters.Answered++;
            Latencies.Record(Loop.Latencies.Step(_call.Step), (nowNs - _sentNs) / Clock.NsPerUs);
        }
        else
        {
            Loop.Counters.Refused++;
            Loop.Latencies.Fail(_call.Step);
            Loop.Note($"{_call.Step} was answered with {status}, not {_call.Status}");
        }

        SendNext();
        return headBytes + contentBytes;
    }

    protected override void OnEnded(string reason)
    {
        if (!IsStopping)
        {
            Loop.Counters.Closed++;
            Loop.Note(reason);
        }
    }

    private void SendNext()
    {
        if (IsStopping)
        {
            Drop();
            return;
        }

        _call = mix.Next();
        _sentNs = Clock.NowNs;
        Send(_call.Request);
    }

    private static int Status(ReadOnlySpan<byte> head) =>
        head.Length > 12 && int.TryParse(head.Slice(9, 3), NumberStyles.None, CultureInfo.InvariantCulture, out int status) ? status : 0;

    /// <summary>Every answer of this server with content says how long it is; 204 and 304 have none.</summary>
    private static bool TryReadLength(ReadOnlySpan<byte> head, out int contentBytes)
    {
        ReadOnlySpan<byte> name = "\r\ncontent-length:"u8;
        Span<byte> lower = stackalloc byte[512];
        contentBytes = 0;
        head = head[..Math.Min(head.Length, lower.Length)];
        Ascii.ToLower(head, lower, out int lowered);
        int at = lower[..lowered].IndexOf(name);
        if (at < 0)
        {
            return true;
        }

        ReadOnlySpan<byte> value = head[(at + name.Length)..];
        return int.TryParse(value[..value.IndexOf((byte)'\r')], NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out contentBytes);
    }
}
