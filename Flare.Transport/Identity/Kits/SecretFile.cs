namespace Flare.Transport;

/// <summary>Files that their owner alone may read.</summary>
public static class SecretFile
{
    /// <summary>
    /// Writes a file that is there whole or not at all, also after a crash; on Windows those may read it whom the
    /// folder lets.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="bytes">What is in it.</param>
    /// <param name="overwrite">Whether a file that is there already is replaced.</param>
    /// <exception cref="IOException">It is there already, or cannot be written.</exception>
    public static void Write(string path, ReadOnlySpan<byte> bytes, bool overwrite)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!overwrite && File.Exists(path)) throw new IOException($"The file '{path}' is there already; it is kept.");
        var beside = $"{path}.tmp";
        File.Delete(beside); // of a process that died; its permissions may be anything
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            using (var stream = new FileStream(beside, options))
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: true);
            }
            File.Move(beside, path, overwrite);
        }
        catch
        {
            File.Delete(beside);
            throw;
        }
    }
}
