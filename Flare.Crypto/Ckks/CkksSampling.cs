using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>
/// Draws the polynomials of CKKS from a stream of bytes; secret ones without a branch on what is drawn.
/// </summary>
internal static class CkksSampling
{
    /// <summary>The variance of the centred binomial noise of 21 against 21 bits; SEAL's, σ ≈ 3.24.</summary>
    public const double NoiseVariance = 10.5;

    /// <summary>No noise value is greater.</summary>
    public const int MaxNoise = 21;

    private const int BitsMask = (1 << MaxNoise) - 1;

    /// <summary>
    /// Uniform residues modulo each prime, exactly those that SEAL draws: all words first, then one by one new words
    /// for those that would make the residues uneven.
    /// </summary>
    public static void Uniform(SealGenerator stream, ReadOnlySpan<Ntt> primes, int degree, Span<ulong> destination,
        KernelPath path = KernelPath.Best)
    {
        var bytes = MemoryMarshal.AsBytes(destination);
        stream.Fill(bytes);
        if (!BitConverter.IsLittleEndian)
            System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(destination, destination);
        for (var i = 0; i < primes.Length; i++)
            ReduceUniform(stream, primes[i].Modulus, destination.Slice(i * degree, degree), path);
    }

    private static void ReduceUniform(SealGenerator stream, Modulus modulus, Span<ulong> words, KernelPath path)
    {
        var q = modulus.Value;
        var limit = ulong.MaxValue - modulus.Reduce(ulong.MaxValue) - 1;
        var j = 0;
        if (path != KernelPath.Portable && Avx512DQ.IsSupported)
        {
            // The quotient in double is off by one at most, which one correction each way mends.
            var reciprocal = Vector512.Create(1.0 / q);
            var vq = Vector512.Create(q);
            var vlimit = Vector512.Create(limit);
            for (; j + 8 <= words.Length; j += 8)
            {
                var r = Vector512.Create<ulong>(words.Slice(j, 8));
                if (Avx512F.CompareGreaterThanOrEqual(r, vlimit) != Vector512<ulong>.Zero)
                {
                    ReduceScalar(stream, modulus, limit, words.Slice(j, 8));
                    continue;
                }
                var quotient = Avx512DQ.ConvertToVector512UInt64WithTruncation(
                    Avx512DQ.ConvertToVector512Double(r) * reciprocal);
                var rest = Avx512F.Subtract(r, Avx512DQ.MultiplyLow(quotient, vq));
                rest = Avx512F.Min(rest, Avx512F.Add(rest, vq));
                rest = Avx512F.Min(rest, Avx512F.Subtract(rest, vq));
                rest.CopyTo(words[j..]);
            }
        }
        ReduceScalar(stream, modulus, limit, words[j..]);
    }

    private static void ReduceScalar(SealGenerator stream, Modulus modulus, ulong limit, Span<ulong> words)
    {
        foreach (ref var word in words)
        {
            while (word >= limit) word = stream.NextWord();
            word = modulus.Reduce(word);
        }
    }

    /// <summary>Centred binomial noise: 21 bits less 21 bits, from six bytes each.</summary>
    /// <param name="stream">The secret stream.</param>
    /// <param name="noise">Receives values from -21 to 21.</param>
    /// <param name="scratch">At least 6 bytes a value and 8 more; left with secrets, for the caller to erase.</param>
    public static void Noise(SealGenerator stream, Span<long> noise, Span<byte> scratch)
    {
        stream.Fill(scratch[..(6 * noise.Length)]);
        ref var bytes = ref MemoryMarshal.GetReference(scratch[..(6 * noise.Length + sizeof(ulong))]);
        for (var i = 0; i < noise.Length; i++)
        {
            var bits = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, 6 * i));
            if (!BitConverter.IsLittleEndian) bits = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(bits);
            noise[i] = BitOperations.PopCount(bits & BitsMask) - BitOperations.PopCount(bits >> MaxNoise & BitsMask);
        }
    }

    /// <summary>-1, 0 or 1 with equal odds (to 2^-62), as for secrets and one-time keys.</summary>
    public static void Ternary(SealGenerator stream, Span<long> destination)
    {
        stream.Fill(MemoryMarshal.AsBytes(destination));
        foreach (ref var value in destination)
            value = (long)Modulus.HighProduct((ulong)value, 3) - 1;
    }

    /// <summary>Small signed values to residues: adds q to the negative ones, by mask.</summary>
    /// <param name="values">Values of magnitude below q.</param>
    /// <param name="q">The prime.</param>
    /// <param name="destination">As many residues.</param>
    public static void ToResidues(ReadOnlySpan<long> values, ulong q, Span<ulong> destination)
    {
        var j = 0;
        var target = MemoryMarshal.Cast<ulong, long>(destination)[..values.Length];
        if (Vector.IsHardwareAccelerated)
        {
            var prime = new Vector<long>((long)q);
            for (; j + Vector<long>.Count <= values.Length; j += Vector<long>.Count)
            {
                var v = new Vector<long>(values[j..]);
                (v + (prime & Vector.LessThan(v, Vector<long>.Zero))).CopyTo(target[j..]);
            }
        }
        for (; j < values.Length; j++)
            target[j] = values[j] + ((long)q & (values[j] >> 63));
    }
}
