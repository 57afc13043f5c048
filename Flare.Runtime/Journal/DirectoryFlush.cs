using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Flare.Runtime;

/// <summary>
/// Makes a folder's entries durable, as POSIX asks for after a rename. .NET flushes any handle but opens none on a folder
/// (<see cref="File.OpenHandle"/> refuses it), so the opening alone is the C library's.
/// </summary>
internal static partial class DirectoryFlush
{
    private const int ReadOnly = 0; // O_RDONLY, the same on every Unix

    /// <summary>Flushes a folder; without effect on Windows, which offers no such call and whose NTFS journals its renames.</summary>
    /// <exception cref="IOException">The folder cannot be opened or flushed.</exception>
    public static void Flush(string path)
    {
        if (OperatingSystem.IsWindows() || OperatingSystem.IsBrowser()) return;
        var descriptor = Open(path, ReadOnly);
        if (descriptor < 0) throw new IOException($"The folder '{path}' cannot be opened to flush it: {Marshal.GetLastPInvokeErrorMessage()}.");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        RandomAccess.FlushToDisk(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
