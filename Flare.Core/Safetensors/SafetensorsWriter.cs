using System.Buffers;

namespace Flare;

/// <summary>Writes a state dict as safetensors. One code for both worlds: where <c>async</c> is false, every task is complete when returned.</summary>
internal static class SafetensorsWriter
{
    private const int BufferSize = 1 << 20;

    /// <summary>Writes the file beside its place, flushes it to the disk, then puts it in its place at once: no reader ever sees half of it.</summary>
    public static async Task WriteFileAsync(StateDict tensors, string path, bool async, CancellationToken cancellation)
    {
        path = Path.GetFullPath(path);
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            var options = async ? FileOptions.Asynchronous : FileOptions.None;
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, options))
            {
                await WriteAsync(tensors, file, path, async, cancellation);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            // Without effect once the file is in its place.
            File.Delete(temporary);
        }
    }

    /// <summary>Writes to a stream, from where it stands.</summary>
    public static async Task WriteAsync(StateDict tensors, Stream stream, string target, bool async, CancellationToken cancellation)
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
