using System.Buffers.Text;

namespace Chat.Protocol.Messages;

/// <summary>
/// Puts the pieces of one event one behind the other. Field names come as literals with their punctuation
/// (<c>,"seq":</c>): the shape of each event can be read in one place, and nothing is decided at run time that the compiler
/// knows. A destination that is too short is a bug of the caller and throws.
/// </summary>
internal ref struct EventWriter(Span<byte> destination)
{
    /// <summary>Digits and sign of <see cref="long.MinValue"/>.</summary>
    public const int IntegerBytesMax = 20;

    private readonly Span<byte> _destination = destination;

    /// <summary>Bytes written so far.</summary>
    public int Written { get; private set; }

    /// <summary>JSON as it is.</summary>
    public void Raw(ReadOnlySpan<byte> json)
    {
        json.CopyTo(_destination[Written..]);
        Written += json.Length;
    }

    public void Integer(long value)
    {
        Invariant.Require(Utf8Formatter.TryFormat(value, _destination[Written..], out int bytes));
        Written += bytes;
    }

    /// <summary>A string in quotes, escaped; UTF-8.</summary>
    public void String(ReadOnlySpan<byte> utf8)
    {
        _destination[Written++] = (byte)'"';
        Written += JsonText.Escape(utf8, _destination[Written..]);
        _destination[Written++] = (byte)'"';
    }

    /// <summary>
    /// A string in quotes, from one of our constants: ASCII. What is not printable ASCII becomes a question mark,
    /// since an event must be valid JSON whatever its message says.
    /// </summary>
    public void String(string ascii)
    {
        _destination[Written++] = (byte)'"';
        foreach (char c in ascii)
        {
            if (c is '"' or '\\')
            {
                _destination[Written++] = (byte)'\\';
            }

            _destination[Written++] = c is >= ' ' and <= '~' ? (byte)c : (byte)'?';
        }

        _destination[Written++] = (byte)'"';
    }

    /// <summary>A timestamp in quotes.</summary>
    public void Timestamp(long unixMs)
    {
        _destination[Written++] = (byte)'"';
        Written += UtcTimestamp.Write(_destination[Written..], unixMs);
        _destination[Written++] = (byte)'"';
    }
}
