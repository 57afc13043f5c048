using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// The authenticator of uploads that survives adding them. In the field of P = 2^127 - 1 an upload's tag is
/// Σ βᵢ Σ γⱼ cᵢⱼ + ρ, where the cᵢⱼ are its chunks' coefficients as integers, the βᵢ in the field and the 64-bit words
/// γⱼ are secret, and ρ is a pseudorandom function of its header. The sum of tags is then the tag of the sum of
/// coefficients with the sum of masks: whoever holds the key sees from one tag that a sum is of exactly the uploads it
/// names, and that none was altered.
/// </summary>
/// <remarks>
/// A Wegman-Carter code: masks hide the sums, and a changed coefficient passes for at most one γⱼ in 2^64. See Agrawal
/// and Boneh, "Homomorphic MACs", 2009; docs/encryption.md has the argument.
/// </remarks>
internal static class LinearTag
{
    // Of the tag key: the γⱼ, in order; chunk i's βᵢ is the first block of stream 1 + i
    private const ulong FactorStream = 0;
    private const int LimbBits = 28, Limbs = 5; // products of limbs with half words: sixteen of them fit a word

    /// <summary>P, a Mersenne prime.</summary>
    public static UInt128 Prime => (UInt128.One << 127) - 1;

    /// <summary>(a + b) mod P for a and b in [0, P).</summary>
    public static UInt128 Add(UInt128 a, UInt128 b) => Fold(a + b);

    /// <summary>a · b mod P for a and b in [0, P).</summary>
    public static UInt128 Multiply(UInt128 a, UInt128 b)
    {
        // a · b = a · low + (a · high) · 2^64, and multiplying by 2^64 turns the 127 bits around.
        return Add(Times(a, (ulong)b), Turn(Times(a, (ulong)(b >> 64)), 64));
    }

    /// <summary>The γⱼ of a key.</summary>
    public static void Factors(AesStream tagKey, Span<ulong> factors)
    {
        tagKey.Seek(FactorStream);
        for (var done = 0; done < factors.Length;)
        {
            var words = tagKey.Next(factors.Length - done);
            words.CopyTo(factors[done..]);
            done += words.Length;
        }
    }

    /// <summary>βᵢ Σ γⱼ cⱼ mod P over one chunk.</summary>
    /// <param name="tagKey">The stream of secrets.</param>
    /// <param name="chunk">i, the chunk's number.</param>
    /// <param name="factors">The γⱼ; at least as many as coefficients.</param>
    /// <param name="low">The coefficients' lower words.</param>
    /// <param name="high">Their upper words.</param>
    /// <param name="bits">The coefficients' bits: at most 115.</param>
    /// <param name="path">How to compute it.</param>
    public static UInt128 Hash(
        AesStream tagKey, int chunk, ReadOnlySpan<ulong> factors, ReadOnlySpan<ulong> low, ReadOnlySpan<ulong> high,
        int bits, KernelPath path = KernelPath.Best)
    {
        tagKey.Seek(1 + (ulong)chunk);
        var block = tagKey.Next(2);
        var outer = Fold(new UInt128(block[1], block[0]));
        var vectors = path != KernelPath.Portable && Avx2.IsSupported ? low.Length & ~3 : 0;
        var inner = vectors > 0 ? Vectors(factors[..vectors], low[..vectors], high[..vectors], bits > 3 * LimbBits) : 0;
        for (var i = vectors; i < low.Length; i++)
            inner = Add(inner, Times(new UInt128(high[i], low[i]), factors[i]));
        return Multiply(outer, inner);
    }

    /// <summary>ρ, the mask of an upload.</summary>
    /// <param name="key">The mask key.</param>
    /// <param name="header">All that names the upload, in one canonical form.</param>
    public static UInt128 Mask(ReadOnlySpan<byte> key, ReadOnlySpan<byte> header)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, header, hash);
        return Fold(BinaryPrimitives.ReadUInt128LittleEndian(hash));
    }

    /// <summary>
    /// Σ γⱼ cⱼ mod P: each limb of a coefficient times each half of a factor, summed on their own to the end.
    /// </summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static UInt128 Vectors(
        ReadOnlySpan<ulong> factors, ReadOnlySpan<ulong> low, ReadOnlySpan<ulong> high, bool wide)
    {
        Span<Vector256<ulong>> totals = stackalloc Vector256<ulong>[2 * 2 * Limbs];
        totals.Clear();
        ref var factor = ref MemoryMarshal.GetReference(factors);
        ref var lows = ref MemoryMarshal.GetReference(low);
        ref var highs = ref MemoryMarshal.GetReference(high);
        var limb = Vector256.Create((1ul << LimbBits) - 1);
        for (nuint i = 0; i < (nuint)low.Length;)
        {
            var end = Math.Min(i + 64, (nuint)low.Length);
            Vector256<ulong> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default;
            Vector256<ulong> t0 = default, t1 = default, t2 = default, t3 = default, t4 = default;
            for (; i < end; i += 4)
            {
                var (g, l, h) = (
                    Vector256.LoadUnsafe(ref factor, i),
                    Vector256.LoadUnsafe(ref lows, i),
                    Vector256.LoadUnsafe(ref highs, i));
                var upper = g >>> 32;
                var (c0, c1, c2) = (l & limb, (l >>> 28) & limb, ((l >>> 56) | (h << 8)) & limb);
                (s0, t0) = (s0 + Product(c0, g), t0 + Product(c0, upper));
                (s1, t1) = (s1 + Product(c1, g), t1 + Product(c1, upper));
                (s2, t2) = (s2 + Product(c2, g), t2 + Product(c2, upper));
                if (!wide) continue;
                var (c3, c4) = ((h >>> 20) & limb, h >>> 48);
                (s3, t3) = (s3 + Product(c3, g), t3 + Product(c3, upper));
                (s4, t4) = (s4 + Product(c4, g), t4 + Product(c4, upper));
            }

            Split(totals, 0, s0, t0);
            Split(totals, 1, s1, t1);
            Split(totals, 2, s2, t2);
            Split(totals, 3, s3, t3);
            Split(totals, 4, s4, t4);
        }

        UInt128 sum = 0;
        for (var i = 0; i < totals.Length; i++)
            sum = Add(sum, Turn(Vector256.Sum(totals[i]), (i / 4 * LimbBits) + (i % 4 / 2 * 32) + (i % 2 * 32)));
        return sum;
    }

    /// <summary>Adds the halves of a limb's two sums to its totals: by the factor's half, then the sum's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(Span<Vector256<ulong>> totals, int limb, Vector256<ulong> lower, Vector256<ulong> upper)
    {
        var half = Vector256.Create((ulong)uint.MaxValue);
        totals[4 * limb] += lower & half;
        totals[(4 * limb) + 1] += lower >>> 32;
        totals[(4 * limb) + 2] += upper & half;
        totals[(4 * limb) + 3] += upper >>> 32;
    }

    /// <summary>The product of the lower halves of words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Product(Vector256<ulong> a, Vector256<ulong> b)
        => Avx2.Multiply(a.AsUInt32(), b.AsUInt32());

    /// <summary>a · b mod P for a below 2^127.</summary>
    private static UInt128 Times(UInt128 a, ulong b)
    {
        var (low, high) = ((UInt128)(ulong)a * b, (UInt128)(ulong)(a >> 64) * b);
        return Add(Fold(low), Turn(Fold(high), 64));
    }

    /// <summary>x · 2^bits mod P for x in [0, P) and 0 ≤ bits &lt; 254: the 127 bits turned around.</summary>
    private static UInt128 Turn(UInt128 x, int bits)
    {
        bits %= 127;
        return Fold(((x << bits) & Prime) | (x >> (127 - bits)));
    }

    /// <summary>Any 128-bit number mod P.</summary>
    private static UInt128 Fold(UInt128 x)
    {
        x = (x & Prime) + (x >> 127);
        return x >= Prime ? x - Prime : x;
    }
}
