using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>The three distributions of RLWE, drawn from a stream of random bytes.</summary>
internal static class Samplers
{
    /// <summary>Centred binomial noise of parameter η: |e| ≤ 21, variance η/2 = 10.5, σ ≈ 3.24.</summary>
    public const int NoiseBound = 21;

    private const ulong NoiseMask = (1ul << NoiseBound) - 1;
    private const int NoiseBytes = 6; // hold the 42 bits of a sample
    private const int Group = 16; // draws are fetched 16 at a time: those fill whole blocks, whatever their bytes

    /// <summary>
    /// Uniform residues modulo q, by rejection. A draw is as many bytes as q has, begun ones included, little-endian;
    /// its lowest bits, as many as q has, are taken if they are below q, and dropped otherwise. Only public values are
    /// drawn so: how many draws it takes depends on them.
    /// </summary>
    public static void Uniform(
        AesStream source, Modulus modulus, Span<ulong> residues, KernelPath path = KernelPath.Best)
        => Uniform(source, modulus, residues, add: false, path);

    /// <summary>
    /// As <see cref="Uniform(AesStream, Modulus, Span{ulong}, KernelPath)"/>, but adds to residues in [0, q), modulo q.
    /// </summary>
    public static void AddUniform(
        AesStream source, Modulus modulus, Span<ulong> residues, KernelPath path = KernelPath.Best)
        => Uniform(source, modulus, residues, add: true, path);

    /// <summary>Noise for every place: a draw is six bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Noise(AesStream source, Span<long> noise, KernelPath path = KernelPath.Best)
    {
        for (var done = 0; done < noise.Length;)
        {
            var draws = Fetch(source, NoiseBytes, noise.Length - done, out var count);
            ref var from = ref MemoryMarshal.GetReference(draws);
            var run = noise.Slice(done, Math.Min(count, noise.Length - done));
            var i = 0;
            if (path != KernelPath.Portable && Avx2.IsSupported)
            {
                var spread = Spread(NoiseBytes);
                for (; i <= run.Length - 4; i += 4)
                    Noise(Draw(ref Unsafe.Add(ref from, i * NoiseBytes), NoiseBytes, spread)).StoreUnsafe(ref run[i]);
            }

            for (; i < run.Length; i++)
                run[i] = Noise(Draw(ref Unsafe.Add(ref from, i * NoiseBytes)));
            done += run.Length;
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
    /// -1, 0 or 1 from a word, by its position in three equal parts of the word's range: no rejection and no branch;
    /// each probability is within 2^-63 of a third.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Ternary(ulong word) => (int)Modulus.HighProduct(word, 3) - 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Uniform(AesStream source, Modulus modulus, Span<ulong> residues, bool add, KernelPath path)
    {
        var (q, mask, bytes) = (modulus.Value, (1ul << modulus.Bits) - 1, (modulus.Bits + 7) / 8);
        var (masks, bounds, spread) = (Vector256.Create(mask), Vector256.Create((long)q), Spread(bytes));
        var vectors = path != KernelPath.Portable && Avx2.IsSupported;
        for (var done = 0; done < residues.Length;)
        {
            var draws = Fetch(source, bytes, residues.Length - done, out var count);
            ref var from = ref MemoryMarshal.GetReference(draws);
            for (var i = 0; i < count && done < residues.Length;)
            {
                if (vectors && i <= count - 4 && done <= residues.Length - 4)
                {
                    var four = Draw(ref Unsafe.Add(ref from, i * bytes), bytes, spread) & masks;
                    if (Vector256.LessThanAll(four.AsInt64(), bounds))
                    {
                        ref var to = ref residues[done];
                        if (add)
                        {
                            var less = four.AsInt64() + Vector256.LoadUnsafe(ref to).AsInt64() - bounds;
                            four = (less + (Vector256.LessThan(less, Vector256<long>.Zero) & bounds)).AsUInt64();
                        }

                        four.StoreUnsafe(ref to);
                        (i, done) = (i + 4, done + 4);
                        continue;
                    }
                }

                var one = Draw(ref Unsafe.Add(ref from, i * bytes)) & mask;
                i++;
                if (one < q)
                {
                    residues[done] = add ? modulus.Add(residues[done], one) : one;
                    done++;
                }
            }
        }
    }

    /// <summary>
    /// Enough draws, or a batch; never a part of a group, so the result does not depend on the batches.
    /// </summary>
    private static ReadOnlySpan<byte> Fetch(AesStream source, int bytes, int wanted, out int count)
    {
        var groups = Math.Min((wanted + Group - 1) / Group, AesBuffer.Blocks / bytes);
        count = Group * groups;
        return source.NextBlocks(groups * bytes);
    }

    /// <summary>One draw, and what follows it in the word's upper bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Draw(ref byte from)
    {
        var word = Unsafe.ReadUnaligned<ulong>(ref from);
        return BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word);
    }

    /// <summary>Four draws, each with zeros above it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Draw(ref byte from, int bytes, Vector256<byte> spread)
    {
        var draws = Vector256.Create(
            Vector128.LoadUnsafe(ref from), Vector128.LoadUnsafe(ref from, (nuint)(2 * bytes)));
        return Avx2.Shuffle(draws, spread).AsUInt64();
    }

    /// <summary>For a shuffle of bytes that makes two words of two draws, in each half.</summary>
    private static Vector256<byte> Spread(int bytes)
    {
        Span<byte> half = stackalloc byte[16];
        for (var i = 0; i < half.Length; i++)
            half[i] = i % 8 < bytes ? (byte)((i / 8 * bytes) + (i % 8)) : byte.MaxValue;
        return Vector256.Create(Vector128.Create<byte>(half));
    }

    /// <summary>
    /// As the other: with the second 21 bits turned over, one count does, since 21 less the ones is the zeros.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Noise(Vector256<ulong> words)
    {
        var bits = (
            (words ^ Vector256.Create(NoiseMask << NoiseBound)) & Vector256.Create(
                (1ul << (2 * NoiseBound)) - 1)).AsByte();
        var counts = Vector256.Create(Vector128.Create((byte)0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        var low = Avx2.Shuffle(counts, bits & Vector256.Create((byte)15));
        var high = Avx2.Shuffle(counts, (bits.AsUInt16() >>> 4).AsByte() & Vector256.Create((byte)15));
        return Avx2.SumAbsoluteDifferences(
            low + high, Vector256<byte>.Zero).AsInt64() - Vector256.Create((long)NoiseBound);
    }
}
