using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>Finds elements that are NaN or infinite: those whose exponent bits are all ones.</summary>
internal static class NonFinite
{
    /// <summary>Bytes before the first such element, or -1.</summary>
    /// <typeparam name="T">The unsigned integer of the element's size.</typeparam>
    /// <param name="elements">The elements.</param>
    /// <param name="exponent">The bits of the exponent.</param>
    public static int IndexIn<T>(ReadOnlySpan<byte> elements, T exponent)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        var bits = MemoryMarshal.Cast<byte, T>(elements);
        ref var first = ref MemoryMarshal.GetReference(bits);
        var mask = new Vector<T>(exponent);
        var width = Vector<T>.Count;
        var i = 0;
        for (; i <= bits.Length - 4 * width; i += 4 * width)
        {
            var at = (nuint)i;
            var found = Vector.Equals(Vector.LoadUnsafe(ref first, at) & mask, mask)
                | Vector.Equals(Vector.LoadUnsafe(ref first, at + (nuint)width) & mask, mask)
                | Vector.Equals(Vector.LoadUnsafe(ref first, at + (nuint)(2 * width)) & mask, mask)
                | Vector.Equals(Vector.LoadUnsafe(ref first, at + (nuint)(3 * width)) & mask, mask);
            // Which of them it is, the plain loop finds.
            if (found != Vector<T>.Zero) break;
        }
        for (; i < bits.Length; i++)
            if ((bits[i] & exponent) == exponent) return i * Unsafe.SizeOf<T>();
        return -1;
    }
}
