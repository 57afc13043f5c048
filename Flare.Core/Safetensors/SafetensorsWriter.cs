using System.Buffers;

namespace Flare;

/// <summary>
/// Writes a state dict as safetensors. One code for both worlds: where <c>async</c> is false, every task is complete
/// when returned.
/// </summary>
internal static class SafetensorsWriter
{
    private const int BufferSize = 1 << 20;

    /// <summary>
    /// Writes the file beside its place, flushes it to the disk, then puts it in its place at once: no reader ever sees
    /// half of it. Where a file is there already, the new one has its permissions from the first byte on.
    /// </summary>
    public static async Task WriteFileAsync(StateDict tensors, string path, bool async, CancellationToken cancellation)
    {
        path = Path.GetFullPath(path);
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            using (var file = new FileStream(temporary, Options(async, ModeOf(path))))
            {
                // What a process creates is masked; what it sets is not.
                if (!OperatingSystem.IsWindows() && ModeOf(path) is { } mode)
                    File.SetUnixFileMode(file.SafeFileHandle, mode);
                await WriteAsync(tensors, file, path, async, cancellation);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (DirectoryNotFoundException e)
        {
            throw new DirectoryNotFoundException(
                $"The folder of '{path}' does not exist. Create it before saving a model in it.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UnauthorizedAccessException(e.Message.Replace(temporary, path, StringComparison.Ordinal), e);
        }
        catch (IOException e) when (e.Message.Contains(temporary, StringComparison.Ordinal))
        {
            throw new IOException(e.Message.Replace(temporary, path, StringComparison.Ordinal), e);
        }
        finally
        {
            // Without effect once the file is in its place.
            if (File.Exists(temporary)) File.Delete(temporary);
        }
    }

    private static FileStreamOptions Options(bool async, UnixFileMode? mode)
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None, BufferSize = 0,
            Options = async ? FileOptions.Asynchronous : FileOptions.None,
        };
        if (!OperatingSystem.IsWindows() && mode is { } known) options.UnixCreateMode = known;
        return options;
    }

    // Windows has no such modes: a file there has the access rights of its folder.
    private static UnixFileMode? ModeOf(string path)
    {
        if (OperatingSystem.IsWindows() || !File.Exists(path)) return null;
        return File.GetUnixFileMode(path);
    }

    /// <summary>Writes to a stream, from where it stands.</summary>
    public static async Task WriteAsync(
        StateDict tensors, Stream stream, string target, bool async, CancellationToken cancellation)
    {
        var header = SafetensorsHeader.For(tensors.Layout);
        await Put(header.ToBytes(target));
        var cursor = new ContentCursor(tensors, header.DataOrder);
        // A copy a chunk: tensors are disposed or written to by mistake without harm to what a slow stream still holds.
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(header.DataLength, 1, BufferSize));
        try
        {
            while (cursor.CopyTo(buffer) is > 0 and var length) await Put(buffer.AsMemory(0, length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        ValueTask Put(ReadOnlyMemory<byte> bytes)
        {
            if (async) return stream.WriteAsync(bytes, cancellation);
            stream.Write(bytes.Span);
            return ValueTask.CompletedTask;
        }
    }
}
