using System.Buffers;
using System.Buffers.Binary;

namespace Flare;

/// <summary>
/// Reads safetensors into a state dict. A length that the file claims is checked against the stream's own where it has
/// one; where it has none, memory grows only as bytes arrive. One code for both worlds: where <c>async</c> is false,
/// every task is complete when returned.
/// </summary>
/// <param name="stream">The file, read from where it stands.</param>
/// <param name="source">Its name, for messages.</param>
/// <param name="async">Whether to read asynchronously.</param>
/// <param name="cancellation">Ends the reading.</param>
internal sealed class SafetensorsReader(Stream stream, string source, bool async, CancellationToken cancellation)
{
    /// <summary>A stream of unknown length is believed so many bytes before the first of them has arrived.</summary>
    internal const int Trusted = 1 << 20;

    private const int Segment = 16 << 20;

    /// <summary>Reads a file, which must hold nothing else.</summary>
    public static async Task<StateDict> ReadFileAsync(string path, bool async, CancellationToken cancellation)
    {
        var options = FileOptions.SequentialScan | (async ? FileOptions.Asynchronous : FileOptions.None);
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, options);
        return await new SafetensorsReader(file, path, async, cancellation).ReadAsync(whole: true);
    }

    /// <summary>Reads one state dict; the stream then stands behind it.</summary>
    /// <param name="whole">Whether nothing may follow, which a stream that can seek tells.</param>
    public async Task<StateDict> ReadAsync(bool whole = false)
    {
        var header = SafetensorsParser.Parse((await HeaderAsync()).Span, source);
        RequireRemaining(header.DataLength, "the tensors");
        if (whole && stream.CanSeek && stream.Length - stream.Position > header.DataLength)
            throw new SafetensorsException(
                Invariant(
                    $"{source}: {stream.Length - stream.Position - header.DataLength:N0} bytes follow the last ")
                        + "tensor. The file is damaged or was not written as safetensors; save it again.");
        var tensors = stream.CanSeek || header.DataLength <= Trusted
            ? StateDict.CreateUninitialized(header.Layout)
            : await ReadGrowingAsync(header);
        try
        {
            if (stream.CanSeek || header.DataLength <= Trusted) await FillAsync(header, tensors);
            if (tensors.FirstInvalidBoolTensor() is { } name)
                throw new SafetensorsException(
                    $"{source}: tensor '{name}' of BOOL holds a byte other than "
                        + "0 and 1. Save it as U8, or as zeros and ones.");
            return tensors;
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    private async Task<ReadOnlyMemory<byte>> HeaderAsync()
    {
        var prefix = new byte[SafetensorsHeader.PrefixLength];
        await FillAsync(prefix, "the header's length");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > SafetensorsHeader.MaxLength)
            throw new SafetensorsException(
                Invariant(
                    $"{source}: the header claims {length:N0} bytes, and the format allows ")
                        + Invariant(
                            $"{SafetensorsHeader.MaxLength:N0}. This is no safetensors file, or a damaged one; save ")
                                + "it again.");
        RequireRemaining((long)length, "the header");
        var json = new byte[Math.Min((int)length, Trusted)];
        for (var filled = 0; ; )
        {
            await FillAsync(json.AsMemory(filled), "the header");
            filled = json.Length;
            if (filled == (int)length) return json;
            Array.Resize(ref json, (int)Math.Min((long)length, 2L * filled));
        }
    }

    private void RequireRemaining(long bytes, string what)
    {
        if (stream.CanSeek && stream.Length - stream.Position < bytes)
            throw Truncated(
                Invariant(
                    $"{what} should take {bytes:N0} bytes, and {Math.Max(0, stream.Length - stream.Position):N0} ")
                        + "follow");
    }

    private async Task FillAsync(SafetensorsHeader header, StateDict tensors)
    {
        var cursor = new ContentCursor(tensors, header.DataOrder);
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(header.DataLength, 1, Trusted));
        try
        {
            for (var left = header.DataLength; left > 0;)
            {
                var chunk = buffer.AsMemory(0, (int)Math.Min(left, buffer.Length));
                await FillAsync(chunk, "the tensors");
                cursor.CopyFrom(chunk.Span);
                left -= chunk.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    // The model's one run of memory is made when all its bytes are here; until then they wait in segments.
    private async Task<StateDict> ReadGrowingAsync(SafetensorsHeader header)
    {
        var segments = new Queue<byte[]>();
        for (long arrived = 0; arrived < header.DataLength; arrived += segments.Last().Length)
        {
            var segment = new byte[Math.Min(
                Segment, Math.Min(Math.Max(arrived, Trusted), header.DataLength - arrived))];
            await FillAsync(segment, "the tensors");
            segments.Enqueue(segment);
        }
        var tensors = StateDict.CreateUninitialized(header.Layout);
        var cursor = new ContentCursor(tensors, header.DataOrder);
        while (segments.TryDequeue(out var segment)) cursor.CopyFrom(segment);
        return tensors;
    }

    private async ValueTask FillAsync(Memory<byte> destination, string what)
    {
        for (var filled = 0; filled < destination.Length;)
        {
            var rest = destination[filled..];
            var read = async ? await stream.ReadAsync(rest, cancellation) : stream.Read(rest.Span);
            if (read == 0) throw Truncated($"the file ends within {what}");
            filled += read;
        }
    }

    private SafetensorsException Truncated(string complaint) =>
        new($"{source}: {complaint}. The file is cut short; copy or download it again.");
}
