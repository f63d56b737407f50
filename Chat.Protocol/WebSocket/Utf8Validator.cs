using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.Unicode;

namespace Chat.Protocol.WebSocket;

/// <summary>
/// Checks UTF-8 (RFC 3629) that arrives in pieces, as fragments of one text message do (RFC 6455 sections 5.6 and 8.1).
/// It answers false with the first byte that no valid text could have there, not at the end of the message.
/// A mutable struct of three bytes: keep it in a field, do not copy it. The default value is ready for use.
/// </summary>
public struct Utf8Validator
{
    // Continuation bytes still missing, and the range allowed for the next one. Only the byte after E0, ED, F0 and F4 has
    // a narrower range than 80..BF; that range is what refuses overlong forms, surrogates and all above U+10FFFF early.
    private byte _missing;
    private byte _nextMin;
    private byte _nextMax;

    /// <summary>True when the bytes so far end between two characters. A text message must end here.</summary>
    public readonly bool IsComplete => _missing == 0;

    /// <summary>
    /// Takes the next bytes of the text. After false, the text is lost: use a new validator.
    /// </summary>
    public bool Push(ReadOnlySpan<byte> input)
    {
        if (_missing == 0)
        {
            input = input[AsciiBytes(input)..];
            if (input.IsEmpty)
            {
                return true;
            }
        }

        return PushRest(input);
    }

    /// <summary>All of an ASCII text of at least one vector; else how many bytes at the start are known to be ASCII.</summary>
    private static int AsciiBytes(ReadOnlySpan<byte> input)
    {
        var highBits = new Vector<byte>(0x80);
        ReadOnlySpan<Vector<byte>> vectors = MemoryMarshal.Cast<byte, Vector<byte>>(input);
        int i = 0;
        while (i < vectors.Length && (vectors[i] & highBits) == Vector<byte>.Zero)
        {
            i++;
        }

        // What is left is shorter than a vector: the last one that fits covers it.
        return i > 0 && i == vectors.Length && (new Vector<byte>(input[^Vector<byte>.Count..]) & highBits) == Vector<byte>.Zero
            ? input.Length
            : i * Vector<byte>.Count;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool PushRest(ReadOnlySpan<byte> input)
    {
        int finished = 0;
        while (_missing != 0)
        {
            if (finished == input.Length)
            {
                return true;
            }

            if (!PushContinuation(input[finished++]))
            {
                return false;
            }
        }

        // All but a sequence cut off by the end of the input goes to the vectorised check of the runtime, once.
        ReadOnlySpan<byte> rest = input[finished..];
        int cutOff = CutOffBytes(rest);
        if (!Utf8.IsValid(rest[..^cutOff]))
        {
            return false;
        }

        return cutOff == 0 || PushCutOff(rest[^cutOff..]);
    }

    /// <summary>Bytes at the end (0 to 3) that start a sequence and do not have all of it.</summary>
    private static int CutOffBytes(ReadOnlySpan<byte> input)
    {
        int lookBack = Math.Min(3, input.Length);
        for (int count = 1; count <= lookBack; count++)
        {
            byte b = input[^count];
            if (b < 0x80)
            {
                return 0;
            }

            if (b >= 0xC0)
            {
                return SequenceBytes(b) > count ? count : 0;
            }
        }

        // Three continuation bytes in a row are the end of a four-byte sequence, or invalid: the bulk check knows.
        return 0;
    }

    /// <summary>Length that a lead byte announces; 0 when no valid sequence starts with it (C0, C1, F5..FF).</summary>
    private static int SequenceBytes(byte lead) => lead switch
    {
        >= 0xC2 and <= 0xDF => 2,
        >= 0xE0 and <= 0xEF => 3,
        >= 0xF0 and <= 0xF4 => 4,
        _ => 0,
    };

    private bool PushCutOff(ReadOnlySpan<byte> sequence)
    {
        byte lead = sequence[0];
        _missing = (byte)(SequenceBytes(lead) - 1);
        (_nextMin, _nextMax) = lead switch
        {
            0xE0 => ((byte)0xA0, (byte)0xBF), // below A0: overlong, would fit two bytes
            0xED => ((byte)0x80, (byte)0x9F), // above 9F: UTF-16 surrogates
            0xF0 => ((byte)0x90, (byte)0xBF), // below 90: overlong, would fit three bytes
            0xF4 => ((byte)0x80, (byte)0x8F), // above 8F: over U+10FFFF
            _ => ((byte)0x80, (byte)0xBF),
        };
        foreach (byte b in sequence[1..])
        {
            if (!PushContinuation(b))
            {
                return false;
            }
        }

        return true;
    }

    private bool PushContinuation(byte b)
    {
        if (b < _nextMin || b > _nextMax)
        {
            return false;
        }

        _missing--;
        (_nextMin, _nextMax) = (0x80, 0xBF);
        return true;
    }
}
