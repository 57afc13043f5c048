using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// The authenticator of uploads that survives adding them. In the field of P = 2^127 - 1 an upload's tag is
/// Σ αᵢ cᵢ + ρ, where the cᵢ are its coefficients as integers, the αᵢ are secret 64-bit words and ρ is a pseudorandom
/// function of its header. The sum of tags is then the tag of the sum of coefficients with the sum of masks: whoever holds the
/// key sees from one tag that a sum is of exactly the uploads it names, and that none was altered.
/// </summary>
/// <remarks>
/// A Wegman-Carter code: masks hide the sums, and a changed coefficient passes for at most one αᵢ in 2^64. See Agrawal and
/// Boneh, "Homomorphic MACs", 2009; docs/encryption.md has the argument.
/// </remarks>
internal static class LinearTag
{
    /// <summary>P, a Mersenne prime.</summary>
    public static UInt128 Prime => (UInt128.One << 127) - 1;

    /// <summary>(a + b) mod P for a and b in [0, P).</summary>
    public static UInt128 Add(UInt128 a, UInt128 b) => Fold(a + b);

    /// <summary>Σ αᵢ cᵢ mod P over one chunk.</summary>
    /// <param name="factors">The stream of αᵢ; its chunk's stream is read from the start.</param>
    /// <param name="chunk">The chunk's number.</param>
    /// <param name="words">At most 8192 coefficients below 2^115.</param>
    public static UInt128 Hash(AesStream factors, int chunk, ReadOnlySpan<UInt128> words)
    {
        factors.Seek((ulong)chunk);
        ulong s0 = 0, s1 = 0, s2 = 0; // Σ α · (word mod 2^64)
        ulong t0 = 0, t1 = 0; // Σ α · (word / 2^64)
        while (!words.IsEmpty)
        {
            var alphas = factors.Next(words.Length);
            for (var i = 0; i < alphas.Length; i++)
            {
                var (alpha, word) = (alphas[i], (ulong)words[i]);
                var (low, high) = (alpha * word, Modulus.HighProduct(alpha, word)); // Math.BigMul goes through memory
                s0 += low;
                high += s0 < low ? 1ul : 0ul;
                s1 += high;
                s2 += s1 < high ? 1ul : 0ul;
                word = (ulong)(words[i] >> 64);
                (low, high) = (alpha * word, Modulus.HighProduct(alpha, word));
                t0 += low;
                t1 += high + (t0 < low ? 1ul : 0ul);
            }

            words = words[alphas.Length..];
        }

        // s + t · 2^64, where 2^127 = 1; t · 2^64 is (t mod 2^63) · 2^64 + floor(t / 2^63).
        var sum = Add(Fold(new(s1, s0)), 2 * s2);
        sum = Add(sum, Fold(new(t0 & (ulong.MaxValue >> 1), 0)));
        return Add(sum, Fold(new UInt128(t1, t0) >> 63));
    }

    /// <summary>ρ, the mask of an upload.</summary>
    /// <param name="key">The mask key.</param>
    /// <param name="header">All that names the upload, in one canonical form.</param>
    public static UInt128 Mask(ReadOnlySpan<byte> key, ReadOnlySpan<byte> header)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, header, hash);
        return Fold(System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(hash));
    }

    /// <summary>Any 128-bit number mod P.</summary>
    private static UInt128 Fold(UInt128 x)
    {
        x = (x & Prime) + (x >> 127);
        return x >= Prime ? x - Prime : x;
    }
}
