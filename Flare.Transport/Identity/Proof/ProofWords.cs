using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Transport;

/// <summary>What ends say before the first frame: a length, and a map of MessagePack (docs/wire.md).</summary>
internal static class ProofWords
{
    private const int MostBytes = 32 * 1024;
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(1);

    /// <summary>Four certificates and some words; nobody is known yet.</summary>
    public static readonly FlareMapLimits Limits = new() { MaxBytes = MostBytes, MaxDepth = 3, MaxItems = 32 };

    public static async Task SayAsync(
        this FlareConnection connection, FlareMap map, CancellationToken cancellationToken,
        FlareMapLimits? limits = null) =>
        await connection.Output.WriteAsync(Write(map, limits ?? Limits), cancellationToken);

    /// <summary>Says why this end hangs up. To hang up on what still comes would have the system throw that
    /// away.</summary>
    public static async Task SayLastAsync(
        this FlareConnection connection, FlareMap map, CancellationToken cancellationToken)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        enough.CancelAfter(Farewell);
        try
        {
            await connection.SayAsync(map, enough.Token);
            while (true)
            {
                var read = await connection.Input.ReadAsync(enough.Token);
                connection.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // It has hung up, or heard enough.
        }
    }

    /// <exception cref="FlareException">It is malformed.</exception>
    /// <exception cref="EndOfStreamException">The other end hung up.</exception>
    public static async Task<FlareMap> HearAsync(
        this FlareConnection connection, FlareMapLimits limits, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = await connection.Input.ReadAsync(cancellationToken);
            var buffer = read.Buffer;
            if (buffer.Length >= 4)
            {
                var length = ReadLength(buffer);
                if (length < 1 || length > limits.MaxBytes)
                {
                    throw new FlareException(
                        ErrorIds.MalformedMessage, "It does not prove its name as Flare's ends do.");
                }
                if (buffer.Length >= 4 + length)
                {
                    var map = FlareMapCodec.Read(buffer.Slice(4, length), limits: limits);
                    connection.Input.AdvanceTo(buffer.GetPosition(4 + length));
                    return map;
                }
            }
            connection.Input.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted) throw new EndOfStreamException("it said nothing, or too little.");
        }
    }

    private static byte[] Write(FlareMap map, FlareMapLimits limits)
    {
        var bytes = new ArrayBufferWriter<byte>(1024);
        bytes.Write(stackalloc byte[4]); // the length, once it is known
        FlareMapCodec.Write(map, bytes, limits: limits);
        var all = bytes.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(all, all.Length - 4);
        return all;
    }

    private static int ReadLength(in ReadOnlySequence<byte> buffer)
    {
        Span<byte> bytes = stackalloc byte[4];
        buffer.Slice(0, 4).CopyTo(bytes);
        return BinaryPrimitives.ReadInt32LittleEndian(bytes);
    }
}
