using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Flare.Crypto;

/// <summary>The three distributions of RLWE, drawn from a stream of random words.</summary>
internal static class Samplers
{
    /// <summary>Centred binomial noise of parameter η: |e| ≤ 21, variance η/2 = 10.5, σ ≈ 3.24.</summary>
    public const int NoiseBound = 21;

    private const ulong NoiseMask = (1ul << NoiseBound) - 1;

    /// <summary>
    /// Uniform residues modulo q, by rejection: each word's lowest bits, as many as q has, are taken if they are below
    /// q, and dropped otherwise. Only public values are drawn so: how many words it takes depends on them.
    /// </summary>
    public static void Uniform(AesStream source, Modulus modulus, Span<ulong> residues)
    {
        var mask = (1ul << modulus.Bits) - 1;
        var q = modulus.Value;
        var (masks, bounds) = (Vector256.Create(mask), Vector256.Create((long)q));
        for (var done = 0; done < residues.Length;)
        {
            // An even count: no word of a block is skipped, so the result does not depend on the batches.
            var words = source.Next((residues.Length - done + 1) & ~1);
            ref var from = ref MemoryMarshal.GetReference(words);
            var i = 0;
            for (; i <= words.Length - 4 && done <= residues.Length - 4; i += 4)
            {
                var candidates = Vector256.LoadUnsafe(ref from, (nuint)i) & masks;
                if (Vector256.LessThanAll(candidates.AsInt64(), bounds))
                {
                    candidates.StoreUnsafe(ref residues[done]);
                    done += 4;
                    continue;
                }

                for (var lane = 0; lane < 4; lane++)
                    if (candidates[lane] < q)
                        residues[done++] = candidates[lane];
            }

            for (; i < words.Length && done < residues.Length; i++)
                if ((words[i] & mask) < q)
                    residues[done++] = words[i] & mask;
        }
    }

    /// <summary>
    /// One sample of noise from a word: the number of ones among its lowest 21 bits less that among the next 21. Two
    /// counts and a subtraction: no branch, no table, the same time for every word.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Noise(ulong word)
        => BitOperations.PopCount(word & NoiseMask) - BitOperations.PopCount((word >> NoiseBound) & NoiseMask);

    /// <summary>
    /// -1, 0 or 1 from a word, by its position in three equal parts of the word's range: no rejection and no branch; each
    /// probability is within 2^-63 of a third.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Ternary(ulong word) => (int)Modulus.HighProduct(word, 3) - 1;
}
