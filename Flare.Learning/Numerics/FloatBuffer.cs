using System.Runtime.InteropServices;

namespace Flare.Learning;

/// <summary>Zeroed floats at a 64-byte aligned address, in pinned managed memory: the collector frees them.</summary>
internal sealed unsafe class FloatBuffer
{
    private const int AlignmentFloats = 16;
    private readonly float[] _array;

    public FloatBuffer(long length)
    {
        if (length > Array.MaxLength - AlignmentFloats)
            throw new InvalidOperationException(
                Invariant(
                    $"A layer would need {length:N0} floats in one run, more than the {Array.MaxLength:N0} that fit; ")
                        + "use smaller batches.");
        _array = GC.AllocateArray<float>((int)length + AlignmentFloats, pinned: true);
        var address = (nuint)Marshal.UnsafeAddrOfPinnedArrayElement(_array, 0);
        Pointer = (float*)((address + 63) & ~(nuint)63);
        Length = (int)length;
    }

    public float* Pointer { get; }

    public int Length { get; }

    public Span<float> Span => new(Pointer, Length);

    /// <summary>Replaces a buffer that is too small by a zeroed one; a larger one stays as it is.</summary>
    public static void Fit(ref FloatBuffer? buffer, long length)
    {
        if (buffer is null || buffer.Length < length) buffer = new(length);
    }
}
