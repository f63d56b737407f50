using System.Buffers.Text;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text;

namespace Chat.Server.Auth;

/// <summary>
/// The key that signs tokens: JWT_SECRET when given, else a file in the data folder, made at the first start and readable by its
/// owner only. Immutable. The bytes stay in this process and reach no message.
/// </summary>
internal sealed partial class SigningKey
{
    public const string FileName = "jwt.key";

    // RFC 7518 section 3.2: a key of the size of the hash output or larger.
    private const int BytesMin = 32;
    private const int FileBytesMax = 1024;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode GroupAndOthers =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    private SigningKey(byte[] bytes, string? generatedFile)
    {
        Bytes = bytes;
        GeneratedFile = generatedFile;
    }

    /// <summary>At least 32 bytes. Not to be written to.</summary>
    public byte[] Bytes { get; }

    /// <summary>The path of the file when this start has made it, to say so once; else null.</summary>
    public string? GeneratedFile { get; }

    /// <param name="secret">JWT_SECRET, whose length the settings have checked; empty: use the file.</param>
    /// <param name="dataDir">Made, for the owner only, when it does not exist.</param>
    /// <param name="key">Null when false.</param>
    /// <param name="problem">When false: the message for the user, and the start must stop.</param>
    public static bool TryOpen(string secret, string dataDir, out SigningKey? key, out string problem)
    {
        problem = "";
        key = null;
        if (secret.Length > 0)
        {
            key = new SigningKey(Encoding.UTF8.GetBytes(secret), generatedFile: null);
            return true;
        }
        var path = Path.Combine(dataDir, FileName);
        try
        {
            var generated = !File.Exists(path) && TryGenerate(dataDir, path);
            if (!TryRead(path, out var bytes, out problem))
            {
                return false;
            }
            key = new SigningKey(bytes, generated ? path : null);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problem = $"The signing key {path} cannot be opened: {exception.Message}";
            return false;
        }
    }

    /// <summary>
    /// False when another process has made the file in the meantime. The key is written beside its place and linked into it, so that
    /// the name never shows half a key, and of two processes that start at once exactly one wins and the other reads the winner's.
    /// </summary>
    private static bool TryGenerate(string dataDir, string path)
    {
        CreateFolder(dataDir);
        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
            if (!OperatingSystem.IsWindows())
            {
                // At creation: between creating and a later chmod others could open it.
                options.UnixCreateMode = OwnerOnly;
            }
            using (var stream = new FileStream(temporary, options))
            {
                stream.Write(Encoding.ASCII.GetBytes(Convert.ToBase64String(RandomNumberGenerator.GetBytes(BytesMin)) + "\n"));
                stream.Flush(flushToDisk: true);
            }
            return TryPublish(temporary, path);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>False when the name is taken.</summary>
    private static bool TryPublish(string temporary, string path)
    {
        // File.Move without overwrite would do on Windows only: elsewhere it looks whether the name is free and then renames, and a
        // rename replaces the key that another process has put there in between (seen in the test of racing starts). link(2) is atomic.
        if (!OperatingSystem.IsWindows())
        {
            if (Link(temporary, path) == 0)
            {
                return true;
            }
            if (File.Exists(path))
            {
                return false;
            }
        }
        // Also for file systems without hard links, where only two first starts within microseconds could still collide.
        try
        {
            File.Move(temporary, path, overwrite: false);
            return true;
        }
        catch (IOException) when (File.Exists(path))
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Link(string existing, string added);

    private static void CreateFolder(string dataDir)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(dataDir);
        }
        else
        {
            Directory.CreateDirectory(dataDir, OwnerOnly | UnixFileMode.UserExecute);
        }
    }

    private static bool TryRead(string path, out byte[] bytes, out string problem)
    {
        bytes = [];
        problem = "";
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        // The open file is asked, not the path, which could be another file by now.
        if (!OperatingSystem.IsWindows() && IsOpenToOthers(stream))
        {
            problem = $"The signing key {path} can be read or written by other users. If none of them can have copied it: "
                + $"chmod 600 {path}; else delete it, and a new one is made (all users must log in again).";
            return false;
        }
        var content = new byte[FileBytesMax];
        var length = stream.ReadAtLeast(content, FileBytesMax, throwOnEndOfStream: false);
        bytes = new byte[FileBytesMax];
        var text = content.AsSpan(0, length).Trim("\r\n\t "u8);
        if (length < FileBytesMax
            && Base64.DecodeFromUtf8(text, bytes, out _, out var decoded) == System.Buffers.OperationStatus.Done
            && decoded >= BytesMin)
        {
            Array.Resize(ref bytes, decoded);
            return true;
        }
        problem = $"The signing key {path} is not base64 of at least {BytesMin} bytes. Restore it from a backup, or delete it, "
            + "and a new one is made (all users must log in again).";
        return false;
    }

    [UnsupportedOSPlatform("windows")]
    private static bool IsOpenToOthers(FileStream stream) => (File.GetUnixFileMode(stream.SafeFileHandle) & GroupAndOthers) != 0;
}
