using Chat.Protocol.Http;

namespace Chat.Protocol.WebSocket;

/// <summary>
/// Walks one Sec-WebSocket-Extensions field line by the grammar of RFC 6455 section 9.1: a list of extensions, each a token with
/// parameters, each a token that may have a value, which is a token or a quoted string that holds one.
/// Order: <see cref="TryReadExtension"/>, <see cref="TryReadParameter"/> until false, the next extension; at the end
/// <see cref="IsMalformed"/>.
/// </summary>
/// <param name="line">The value of the field line.</param>
/// <param name="valueSpace">At least <see cref="ValueBytesMax"/> bytes, for a value that was quoted.</param>
internal ref struct ExtensionScanner(ReadOnlySpan<byte> line, Span<byte> valueSpace)
{
    /// <summary>Longest value that is unquoted for the caller; a longer one is well formed and comes out empty, which suits no parameter.</summary>
    public const int ValueBytesMax = 16;

    private readonly Span<byte> _valueSpace = valueSpace;
    private ReadOnlySpan<byte> _rest = line;
    private bool _isInList;

    public bool IsMalformed { get; private set; }

    public bool TryReadExtension(out ReadOnlySpan<byte> name)
    {
        name = default;
        if (IsMalformed)
        {
            return false;
        }

        bool isSeparated = !_isInList;
        SkipWhitespace();
        while (TryTake((byte)',')) // Empty elements are to be ignored (RFC 9110 section 5.6.1.2).
        {
            isSeparated = true;
            SkipWhitespace();
        }

        if (_rest.IsEmpty)
        {
            return false;
        }

        _isInList = true;
        IsMalformed = !isSeparated || !TryTakeToken(out name);
        return !IsMalformed;
    }

    /// <param name="name">As it was sent, in any case.</param>
    /// <param name="hasValue">There was one, however long.</param>
    /// <param name="value">Without quotes; valid until the next call.</param>
    public bool TryReadParameter(out ReadOnlySpan<byte> name, out bool hasValue, out ReadOnlySpan<byte> value)
    {
        name = value = default;
        hasValue = false;
        SkipWhitespace();
        if (IsMalformed || !TryTake((byte)';'))
        {
            return false;
        }

        SkipWhitespace();
        if (!TryTakeToken(out name))
        {
            IsMalformed = true;
            return false;
        }

        SkipWhitespace();
        if (TryTake((byte)'='))
        {
            hasValue = true;
            SkipWhitespace();
            IsMalformed = TryTake((byte)'"') ? !TryTakeQuoted(out value) : !TryTakeToken(out value);
        }

        return !IsMalformed;
    }

    private void SkipWhitespace() => _rest = _rest.TrimStart(" \t"u8);

    private bool TryTake(byte delimiter)
    {
        if (_rest.IsEmpty || _rest[0] != delimiter)
        {
            return false;
        }

        _rest = _rest[1..];
        return true;
    }

    private bool TryTakeToken(out ReadOnlySpan<byte> token)
    {
        int length = _rest.IndexOfAnyExcept(CharacterSets.Token);
        token = _rest[..(length < 0 ? _rest.Length : length)];
        _rest = _rest[token.Length..];
        return !token.IsEmpty;
    }

    /// <summary>After unescaping, what was quoted must be a token (RFC 6455 section 9.1).</summary>
    private bool TryTakeQuoted(out ReadOnlySpan<byte> value)
    {
        value = default;
        int length = 0;
        while (!TryTake((byte)'"'))
        {
            _ = TryTake((byte)'\\');
            if (_rest.IsEmpty || !CharacterSets.Token.Contains(_rest[0]))
            {
                return false;
            }

            if (length < ValueBytesMax)
            {
                _valueSpace[length] = _rest[0];
            }

            length++;
            _rest = _rest[1..];
        }

        value = length <= ValueBytesMax ? _valueSpace[..length] : default;
        return length > 0;
    }
}
