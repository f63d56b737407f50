using System.Runtime.InteropServices;

namespace Chat.Protocol.WebSocket;

/// <summary>
/// The runtime's own zlib, by the entry points that <c>System.IO.Compression</c> itself calls. Its public streams choose no window
/// (docs/decisions/0007), and RFC 7692 asks for one. Only <see cref="Deflater"/> and <see cref="Inflater"/> call it.
/// </summary>
internal static unsafe partial class NativeDeflate
{
    public const int NoFlush = 0;

    /// <summary>Ends with an empty stored block, at a byte boundary (RFC 7692 section 7.2.1).</summary>
    public const int SyncFlush = 2;

    /// <summary>The same, and forgets what came before: nothing later refers back to it.</summary>
    public const int FullFlush = 3;

    public const int Ok = 0;
    public const int StreamEnd = 1;

    public const int MemoryError = -4;

    /// <summary>No progress: no input is left, or no room for output.</summary>
    public const int BufferError = -5;

    private const string Library = "libSystem.IO.Compression.Native";

    [LibraryImport(Library, EntryPoint = "CompressionNative_DeflateInit2_")]
    public static partial int DeflateInit(ZStream* stream, int level, int method, int windowBits, int memoryLevel, int strategy);

    [LibraryImport(Library, EntryPoint = "CompressionNative_Deflate")]
    public static partial int Deflate(ZStream* stream, int flush);

    [LibraryImport(Library, EntryPoint = "CompressionNative_DeflateEnd")]
    public static partial int DeflateEnd(ZStream* stream);

    [LibraryImport(Library, EntryPoint = "CompressionNative_InflateInit2_")]
    public static partial int InflateInit(ZStream* stream, int windowBits);

    [LibraryImport(Library, EntryPoint = "CompressionNative_Inflate")]
    public static partial int Inflate(ZStream* stream, int flush);

    [LibraryImport(Library, EntryPoint = "CompressionNative_InflateReset2_")]
    public static partial int InflateReset(ZStream* stream, int windowBits);

    [LibraryImport(Library, EntryPoint = "CompressionNative_InflateEnd")]
    public static partial int InflateEnd(ZStream* stream);

    /// <summary>PAL_ZStream of the runtime's native library: the part of z_stream that callers need, in its own order.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ZStream
    {
        public byte* NextIn;
        public byte* NextOut;
        public byte* Message;
        public void* InternalState;
        public uint AvailableIn;
        public uint AvailableOut;
    }
}
