namespace Chat.Protocol.Http;

/// <summary>
/// Walks the comma-separated elements of every field line with one name, in order (RFC 9110 section 5.6.1): optional
/// whitespace is trimmed and empty elements are skipped. For lists of tokens only: a comma in a quoted string would split it.
/// The elements are spans of the head and live as long as its bytes.
/// </summary>
public ref struct ListElements
{
    private readonly RequestHead _head;
    private readonly ReadOnlySpan<byte> _name;
    private ReadOnlySpan<byte> _rest;
    private int _nextField;

    internal ListElements(RequestHead head, ReadOnlySpan<byte> name)
    {
        _head = head;
        _name = name;
    }

    public bool TryGetNext(out ReadOnlySpan<byte> element)
    {
        while (true)
        {
            if (_rest.IsEmpty && !TryMoveToNextField())
            {
                element = default;
                return false;
            }

            element = FieldLine.TakeElement(ref _rest);
            if (!element.IsEmpty)
            {
                return true;
            }
        }
    }

    private bool TryMoveToNextField()
    {
        while (_rest.IsEmpty)
        {
            int field = _head.FindField(_name, _nextField);
            if (field < 0)
            {
                return false;
            }

            _rest = _head.FieldValue(field);
            _nextField = field + 1;
        }

        return true;
    }
}
