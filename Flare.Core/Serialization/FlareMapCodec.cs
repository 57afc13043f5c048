using System.Buffers;

namespace Flare;

/// <summary>
/// <see cref="FlareMap"/> as MessagePack, which any language reads (Python: <c>msgpack.unpackb</c>). Tensors travel
/// apart, since they are large and MessagePack would copy them: in a map's encoding each stands as the extension of
/// type
/// <see cref="TensorsExtension"/>, whose four bytes (big-endian) are the index into a list of state dicts carried
/// beside.
/// <para>One map has one encoding: integers and lengths in their shortest form, numbers in 64 bits, names in their
/// order. What other encoders may choose for the same values (wider integers and lengths, numbers of 32 bits, which
/// widen exactly) is read as well.</para>
/// </summary>
public static class FlareMapCodec
{
    /// <summary>The extension type that stands for a state dict; part of the wire contract.</summary>
    public const sbyte TensorsExtension = 1;

    /// <summary>
    /// Writes a map. Values keep their kinds and names their order; integers take their shortest form.
    /// </summary>
    /// <param name="map">What to write.</param>
    /// <param name="output">Where to; after an exception it holds part of an encoding.</param>
    /// <param name="tensors">
    /// Receives each state dict that the map holds, once, in the order of its first place; may already hold some. Null
    /// where tensors cannot be carried: a map that holds some is then refused.
    /// </param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">The map is above a limit, holds text that is not Unicode, or tensors that
    /// cannot be carried.</exception>
    public static void Write(
        FlareMap map, IBufferWriter<byte> output, IList<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(output);
        new FlareMapEncoder(output, tensors, limits ?? FlareMapLimits.Default).Whole(map);
    }

    /// <summary>Reads one map that fills the bytes exactly.</summary>
    /// <param name="bytes">The encoding; nothing in the result refers to it.</param>
    /// <param name="tensors">The state dicts carried beside; shared with the result, not copied.</param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">The bytes are malformed, above a limit, name a value twice, go on after the
    /// map, or refer to tensors that are not there (<see cref="ErrorIds.MalformedBytes"/>); no other exception,
    /// whatever the bytes.</exception>
    public static FlareMap Read(
        in ReadOnlySequence<byte> bytes, IReadOnlyList<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        limits ??= FlareMapLimits.Default;
        RequireTotal(bytes.Length, limits);
        return new FlareMapDecoder(bytes, tensors ?? [], limits).Whole();
    }

    /// <summary>Reads one map that fills the bytes exactly.</summary>
    /// <param name="bytes">The encoding; nothing in the result refers to it.</param>
    /// <param name="tensors">The state dicts carried beside; shared with the result, not copied.</param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">As for the other overloads.</exception>
    public static FlareMap Read(
        ReadOnlyMemory<byte> bytes, IReadOnlyList<StateDict>? tensors = null, FlareMapLimits? limits = null) =>
        Read(new ReadOnlySequence<byte>(bytes), tensors, limits);

    /// <summary>
    /// Reads one map that fills the bytes exactly; as the overloads on memory, into which it copies them.
    /// </summary>
    /// <param name="bytes">The encoding; nothing in the result refers to it.</param>
    /// <param name="tensors">The state dicts carried beside; shared with the result, not copied.</param>
    /// <param name="limits">What the encoding may be at most; <see cref="FlareMapLimits.Default"/> if left out.</param>
    /// <exception cref="FlareException">As for the other overloads.</exception>
    public static FlareMap Read(
        ReadOnlySpan<byte> bytes, IReadOnlyList<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        RequireTotal(bytes.Length, limits ?? FlareMapLimits.Default);
        var rented = ArrayPool<byte>.Shared.Rent(bytes.Length);
        try
        {
            bytes.CopyTo(rented);
            return Read(rented.AsMemory(0, bytes.Length), tensors, limits);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    internal static void RequireTotal(long length, FlareMapLimits limits)
    {
        if (length > limits.MaxBytes) throw AboveLimit(nameof(FlareMapLimits.MaxBytes), limits.MaxBytes, length);
    }

    internal static FlareException AboveLimit(string limit, int allowed, long found) => new(
        ErrorIds.MalformedBytes,
        Invariant($"An encoding is above its limit: {limit} is {allowed:N0}, this needs {found:N0}.")
        + " Send less at once, or raise the limit on both sides.");
}
