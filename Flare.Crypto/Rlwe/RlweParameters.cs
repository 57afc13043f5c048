using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// A set of parameters of the exact additive scheme. docs/encryption.md proves what the constructor checks: any sum of
/// at most <see cref="MaxSummands"/> uploads decrypts to exactly the sum of the quantised values, whatever the noise.
/// </summary>
/// <remarks>
/// Two sites agree exactly when their <see cref="Id"/>s do; <see cref="Choose"/> gives the same set for the same
/// arguments everywhere. Immutable.
/// </remarks>
public sealed class RlweParameters
{
    /// <summary>The most uploads that one sum may ever hold: random polynomials are added without reduction.</summary>
    public const int SummandLimit = 8192;

    private const int MaxPrimeBits = 50; // the vector transform's range
    private const int MaxSumBits = 115; // the authenticator's accumulators
    private const int MaxDroppedBits = 12; // rounding more away makes Δ grow as much
    private const int SmallestModulusBits = 24; // there are primes enough of this size

    internal RlweParameters(
        Quantization format,
        int maxSummands,
        int degree,
        ulong[] moduli,
        int valuesPerCoefficient,
        int messageShift,
        int droppedBits)
    {
        (Format, MaxSummands, Degree) = (format, maxSummands, degree);
        (ValuesPerCoefficient, MessageShift, DroppedBits) = (valuesPerCoefficient, messageShift, droppedBits);
        Moduli = [.. moduli.Order()];
        SlotBits = format.Bits + CeilLog2(maxSummands);
        Modulus = Moduli.Aggregate(UInt128.One, (product, q) => product * q);
        ModulusBits = 128 - (int)UInt128.LeadingZeroCount(Modulus);
        if (Fault() is { } fault)
            throw new ArgumentException($"These parameters are refused: {fault}.");
        Id = ComputeId();
    }

    /// <summary>How real numbers become integers.</summary>
    public Quantization Format { get; }

    /// <summary>K, the most uploads a sum may hold.</summary>
    public int MaxSummands { get; }

    /// <summary>N, the number of coefficients of a polynomial.</summary>
    public int Degree { get; }

    /// <summary>p, the number of values packed into one coefficient.</summary>
    public int ValuesPerCoefficient { get; }

    /// <summary>log2 Δ: messages are multiplied by 2^MessageShift to lift them above the noise.</summary>
    public int MessageShift { get; }

    /// <summary>d: an upload leaves out the lowest d bits of every coefficient, which hold only noise.</summary>
    public int DroppedBits { get; }

    /// <summary>Bits of q, the product of the primes.</summary>
    public int ModulusBits { get; }

    /// <summary>Bits of one coefficient in an upload.</summary>
    public int UploadBits => ModulusBits - DroppedBits;

    /// <summary>Bytes of an upload per value, without the header: UploadBits / 8 / ValuesPerCoefficient.</summary>
    public double BytesPerValue => UploadBits / 8.0 / ValuesPerCoefficient;

    /// <summary>Names the set: 32 hexadecimal digits of a hash over all of it, the format and K included.</summary>
    public string Id { get; }

    /// <summary>The primes, ascending; one or two.</summary>
    internal ulong[] Moduli { get; }

    /// <summary>q.</summary>
    internal UInt128 Modulus { get; }

    /// <summary>q divided by one of its primes.</summary>
    internal ulong Cofactor(int prime) => (ulong)(Modulus / Moduli[prime]);

    /// <summary>Bits of one value's sum with its sign: b + ⌈log2 K⌉.</summary>
    internal int SlotBits { get; }

    /// <summary>Values in a full polynomial.</summary>
    internal int ChunkValues => Degree * ValuesPerCoefficient;

    /// <summary>The most that noise and left-out bits can amount to in a sum of K.</summary>
    internal long NoiseBound => MaxSummands * (Samplers.NoiseBound + ((1L << DroppedBits) >> 1));

    /// <summary>Whether the set reaches a level of security.</summary>
    public bool Reaches(SecurityLevel level) => ModulusBits <= level.MaxModulusBits(Degree);

    /// <summary>
    /// The set with the smallest uploads that sums up to K of them exactly and reaches the level of security.
    /// </summary>
    /// <param name="maxSummands">K, the most sites of a round: 1 to 8192.</param>
    /// <param name="format">How real numbers become integers.</param>
    /// <param name="level">The least security; 128 bits against classical computers unless told otherwise.</param>
    /// <exception cref="ArgumentOutOfRangeException">K is out of range.</exception>
    /// <exception cref="ArgumentException">No set fits: fewer bits or sites are needed.</exception>
    public static RlweParameters Choose(
        int maxSummands, Quantization format, SecurityLevel level = SecurityLevel.Classical128)
    {
        ArgumentNullException.ThrowIfNull(format);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxSummands, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxSummands, SummandLimit);
        return Find(maxSummands, format, level) ?? throw new ArgumentException(
            $"No parameters sum {maxSummands} values of {format.Bits} bits at "
                + $"{level}: use fewer bits, fewer sites, or a lower level.",
            nameof(format));
    }

    /// <summary>As <see cref="Choose"/>; null where no set fits.</summary>
    internal static RlweParameters? Find(int maxSummands, Quantization format, SecurityLevel level)
    {
        // Fewest bits a value first; among equals one prime rather than two, then the smaller degree, then the smaller
        // modulus.
        var slot = format.Bits + CeilLog2(maxSummands);
        var candidates =
            from degree in (int[])[1024, 2048, 4096, 8192]
            from perCoefficient in Enumerable.Range(1, 4)
            from dropped in Enumerable.Range(0, MaxDroppedBits + 1)
            let shift = CeilLog2((2 * maxSummands * (Samplers.NoiseBound + ((1L << dropped) >> 1))) + 1)
            from spare in Enumerable.Range(0, 2) // primes lie a little below powers of two, which can cost a bit
            let bits = Math.Max(SmallestModulusBits, (perCoefficient * slot) + shift + spare)
            where bits <= Math.Min(level.MaxModulusBits(degree), 2 * MaxPrimeBits)
            let primes = bits <= MaxPrimeBits ? 1 : 2
            orderby (double)(bits - dropped) / perCoefficient, primes, degree, bits, dropped
            select (degree, perCoefficient, dropped, shift, bits);

        foreach (var (degree, perCoefficient, dropped, shift, bits) in candidates)
        {
            var primes = bits <= MaxPrimeBits
                ? PrimeSearch.NttPrimes(degree, bits)
                : PrimeSearch.NttPrimes(degree, (bits + 1) / 2, bits / 2);
            if (Fault(format, maxSummands, degree, primes, perCoefficient, shift, dropped) is null)
                return new(format, maxSummands, degree, primes, perCoefficient, shift, dropped);
        }

        return null;
    }

    /// <summary>The set in one line.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"exact additive RLWE {Id[..8]}: N = {Degree}, q of {ModulusBits} bits, {ValuesPerCoefficient} values of "
            + $"{Format.Bits} bits a coefficient, up to {MaxSummands} uploads, {BytesPerValue:F2} bytes a value");

    /// <summary>Bits of one coefficient in a sum of this many uploads.</summary>
    internal int SumBits(int summands) => UploadBits + CeilLog2(summands);

    /// <summary>Polynomials that hold so many values.</summary>
    internal int Chunks(int elements) => (int)(((long)elements + ChunkValues - 1) / ChunkValues);

    /// <summary>Coefficients of a chunk that are sent: all, but for the last chunk.</summary>
    internal int Coefficients(int chunk, int elements)
    {
        var left = elements - ((long)chunk * ChunkValues);
        return (int)Math.Min(Degree, (left + ValuesPerCoefficient - 1) / ValuesPerCoefficient);
    }

    /// <summary>Bytes of all coefficients at a width; every chunk starts on a byte.</summary>
    internal long BodyBytes(int elements, int bits)
    {
        if (elements == 0)
            return 0;
        var last = Chunks(elements) - 1;
        return ((long)last * ChunkBytes(bits)) + ((((long)Coefficients(last, elements) * bits) + 7) / 8);
    }

    /// <summary>Bytes of a full chunk at a width.</summary>
    internal int ChunkBytes(int bits) => Degree / 8 * bits;

    internal static int CeilLog2(long n) => n <= 1 ? 0 : 64 - BitOperations.LeadingZeroCount((ulong)(n - 1));

    private static string? Fault(
        Quantization format,
        int maxSummands,
        int degree,
        ulong[] moduli,
        int valuesPerCoefficient,
        int shift,
        int dropped)
    {
        // The constructor's own check, without its exception: Choose tries many sets.
        var modulus = moduli.Aggregate(BigInteger.One, (product, q) => product * q);
        return Fault(format, maxSummands, degree, moduli, modulus, valuesPerCoefficient, shift, dropped);
    }

    private static string? Fault(
        Quantization format, int maxSummands, int degree, ulong[] moduli, BigInteger q, int valuesPerCoefficient,
        int shift, int dropped)
    {
        var bits = (int)q.GetBitLength();
        if (maxSummands is < 1 or > SummandLimit)
            return $"{maxSummands} summands are outside 1 to {SummandLimit}";
        if (moduli.Length is 0 or > 2 || moduli.Distinct().Count() != moduli.Length
            || moduli.Any(p => p >> MaxPrimeBits != 0))
            return $"the modulus is not one or two different primes of at most {MaxPrimeBits} bits";
        if (moduli.Any(p => p % (2 * (ulong)degree) != 1 || !PrimeSearch.IsPrime(p)))
            return $"a modulus is not a prime that leaves 1 on division by 2N = {2 * degree}";
        if (bits > SecurityLevel.Classical128.MaxModulusBits(degree))
            return $"a modulus of {bits} bits at N = {degree} is below 128-bit security, where "
                + $"{SecurityLevel.Classical128.MaxModulusBits(degree)} are allowed";
        if (valuesPerCoefficient < 1 || shift is < 1 or > 62 || dropped is < 0 or > MaxDroppedBits || dropped > shift)
            return "a width is out of range";

        // (1) Noise cannot reach the message. (2) Messages and noise cannot wrap around q. (3) Rounding cannot leave
        // the width.
        var noise = new BigInteger(maxSummands) * (Samplers.NoiseBound + ((1L << dropped) >> 1));
        if ((2 * noise) + 1 > BigInteger.One << shift)
            return $"noise up to {noise} reaches messages at 2^{shift}: {maxSummands} summands are too many";
        var slot = format.Bits + CeilLog2(maxSummands);
        var slots = ((BigInteger.One << (slot * valuesPerCoefficient)) - 1) / ((BigInteger.One << slot) - 1);
        var message = maxSummands * (BigInteger)format.Largest * slots;
        if (2 * ((message << shift) + noise) >= q)
            return $"{valuesPerCoefficient} sums of {slot} bits at 2^{shift} do not fit a modulus of {bits} bits";
        if (q + (BigInteger.One << dropped) > BigInteger.One << bits)
            return "the modulus is too close to a power of two to round";
        return bits - dropped + CeilLog2(maxSummands) > MaxSumBits
            ? $"sums need more than {MaxSumBits} bits a coefficient"
            : null;
    }

    private string? Fault()
        => Fault(
            Format, MaxSummands, Degree, Moduli, (BigInteger)Modulus, ValuesPerCoefficient, MessageShift, DroppedBits);

    private string ComputeId()
    {
        int[] numbers =
        [
            1, Format.Bits, Format.FractionBits, MaxSummands, Degree, ValuesPerCoefficient, MessageShift, DroppedBits,
            Moduli.Length,
        ];
        var bytes = new byte[(numbers.Length * 4) + (Moduli.Length * 8)];
        for (var i = 0; i < numbers.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * i), numbers[i]);
        for (var i = 0; i < Moduli.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((4 * numbers.Length) + (8 * i)), Moduli[i]);
        return Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 16));
    }
}
