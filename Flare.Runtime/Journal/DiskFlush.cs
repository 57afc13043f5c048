using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Flare.Runtime;

/// <summary>Makes files and folders durable: a seam, so that tests see each flush and what the disk held by
/// then.</summary>
internal partial class DiskFlush
{
    /// <summary>The disk's own.</summary>
    public static DiskFlush Real { get; } = new();

    private const int ReadOnly = 0; // O_RDONLY, the same on every Unix

    /// <summary>Flushes a file (fsync).</summary>
    /// <param name="file">The open file, whose buffers in the process are empty.</param>
    /// <param name="path">Its path.</param>
    public virtual void File(SafeFileHandle file, string path) => RandomAccess.FlushToDisk(file);

    /// <summary>
    /// Flushes a folder's entries, as POSIX asks for after a rename. .NET flushes any handle but opens none on a
    /// folder, so the opening alone is the C library's; without effect on Windows, which offers no such call and whose
    /// NTFS journals its renames.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be opened or flushed.</exception>
    public virtual void Folder(string path)
    {
        if (OperatingSystem.IsWindows() || OperatingSystem.IsBrowser()) return;
        var descriptor = Open(path, ReadOnly);
        if (descriptor < 0) throw new IOException($"The folder '{path}' cannot be opened to flush it: " +
            $"{Marshal.GetLastPInvokeErrorMessage()}.");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        RandomAccess.FlushToDisk(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
