using System.Buffers;

namespace Flare.Crypto;

public static partial class SealFile
{
    private const int CiphertextMembers = ParmsId.Size + 1 + 8 + 8 + 8 + 8;
    private const int SeedMembers = 1 + SealGenerator.SeedSize;

    /// <summary>Reads a Ciphertext into a new buffer.</summary>
    /// <param name="file">The file, whole.</param>
    /// <param name="parameters">The parameters that it must be of.</param>
    /// <returns>Its <see cref="CkksCiphertext.Noise"/> is taken for that of a fresh encryption with a public
    /// key.</returns>
    /// <exception cref="FlareCryptoException">It is malformed, damaged, of other parameters, or hides
    /// nothing.</exception>
    public static CkksCiphertext ReadCiphertext(ReadOnlySpan<byte> file, CkksParameters parameters)
    {
        var ciphertext = new CkksCiphertext(parameters);
        ReadCiphertext(file, ciphertext);
        return ciphertext;
    }

    /// <summary>
    /// Reads a Ciphertext into a buffer that exists, allocating next to nothing unless it is compressed.
    /// </summary>
    /// <param name="file">The file, whole.</param>
    /// <param name="destination">Of the parameters that it must be of. Left empty when the file is refused.</param>
    /// <exception cref="FlareCryptoException">It is malformed, damaged, of other parameters, or hides
    /// nothing.</exception>
    public static void ReadCiphertext(ReadOnlySpan<byte> file, CkksCiphertext destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        const string What = "ciphertext";
        destination.Reset(destination.Level);
        var parameters = destination.Parameters;
        var longest = CiphertextMembers + 8 + ArrayOverhead + 16 * parameters.Degree * parameters.FirstLevel.PrimeCount;
        var reader = new SealReader(file, longest, What);
        var scale = ReadCiphertext(ref reader, DataLevel(reader.Id(), parameters, What), destination, What);
        CkksChecks.Scale(scale, destination.Level);
        (destination.Scale, destination.Noise) = (scale, NoiseEstimate.PublicKey(parameters));
    }

    /// <summary>Writes a Ciphertext; one that is seeded as its first polynomial and the seed.</summary>
    /// <param name="ciphertext">What to write.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="format">How; the default when null.</param>
    public static void Write(CkksCiphertext ciphertext, IBufferWriter<byte> destination, SealFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(ciphertext);
        ArgumentNullException.ThrowIfNull(destination);
        ciphertext.CheckFilled("The ciphertext");
        format ??= SealFormat.Default;
        var words = ciphertext.IsSeeded ? ciphertext.First : ciphertext.Words;
        var length = CiphertextMembers + (format.Version.HasCorrectionFactor ? 8 : 0) + ArrayOverhead + 8 * words.Length
            + (ciphertext.IsSeeded ? SealHeader.Length + SeedMembers : 0);
        var writer = new SealWriter(length, format, destination);
        writer.Id(ciphertext.Level.Id);
        writer.Byte(1); // in NTT form
        writer.Word(2);
        writer.Word((ulong)ciphertext.Parameters.Degree);
        writer.Word((ulong)ciphertext.Level.PrimeCount);
        writer.Double(ciphertext.Scale);
        if (format.Version.HasCorrectionFactor) writer.Word(1);
        writer.Array(words);
        if (ciphertext.Seed is { } seed)
        {
            writer.Nested(SeedMembers);
            writer.Byte((byte)seed.Kind);
            writer.Bytes(seed.Bytes);
        }
        writer.End(destination);
    }

    /// <summary>Reads a PublicKey.</summary>
    /// <param name="file">The file, whole.</param>
    /// <param name="parameters">The parameters that it must be of.</param>
    /// <exception cref="FlareCryptoException">It is malformed, damaged, or of other parameters.</exception>
    public static CkksPublicKey ReadPublicKey(ReadOnlySpan<byte> file, CkksParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        const string What = "public key";
        var longest = CiphertextMembers + 8 + ArrayOverhead + 16 * parameters.Degree * parameters.Primes.Count;
        var reader = new SealReader(file, longest, What);
        CheckLevel(reader.Id(), parameters.KeyLevel, What);
        var zero = new CkksCiphertext(parameters, parameters.KeyLevel);
        if (ReadCiphertext(ref reader, parameters.KeyLevel, zero, What) != 1)
            throw new FlareCryptoException(CryptoFault.Malformed, "The public key is damaged: its scale is not 1.");
        zero.Scale = 1;
        return new CkksPublicKey(zero);
    }

    /// <summary>Writes a PublicKey.</summary>
    /// <param name="key">What to write.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="format">How; the default when null.</param>
    public static void Write(CkksPublicKey key, IBufferWriter<byte> destination, SealFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(key);
        Write(key.Zero, destination, format);
    }

    // Everything after the name of the level; the scale, which the caller judges.
    private static double ReadCiphertext(
        ref SealReader reader, CkksLevel level, CkksCiphertext destination, string what)
    {
        var parameters = destination.Parameters;
        destination.Reset(level);
        if (reader.Byte() != 1) throw new FlareCryptoException(CryptoFault.Malformed,
            $"The {what} is not in NTT form, as all of CKKS is.");
        var size = reader.Word();
        if (size != 2)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} has {size} polynomials; 2 are supported. Relinearise it where it was made.");
        reader.Expect((ulong)parameters.Degree, "a degree of");
        reader.Expect((ulong)level.PrimeCount, "a number of primes of");
        var scale = reader.Double();
        if (reader.Version.HasCorrectionFactor) reader.Expect(1, "a correction factor of");

        SealSeed? seed = null;
        if (reader.PeekArrayLength() == (ulong)destination.PolynomialLength)
        {
            reader.Array(destination.First);
            reader.Nested(SeedMembers);
            var kind = (SealGeneratorKind)reader.Byte();
            if (kind is not (SealGeneratorKind.Blake2xb or SealGeneratorKind.Shake256))
                throw new FlareCryptoException(CryptoFault.Malformed,
                    $"The {what} has a seed for generator {(byte)kind}; 1 (BLAKE2Xb) and 2 (SHAKE256) are known.");
            seed = new SealSeed(kind, reader.Bytes(SealGenerator.SeedSize).ToArray());
        }
        else
        {
            reader.Array(destination.Words);
        }
        reader.End();
        if (seed is not null)
        {
            var stream = new SealGenerator(seed.Kind, seed.Bytes);
            CkksSampling.Uniform(
                stream, parameters.Transforms.AsSpan(0, level.PrimeCount), parameters.Degree, destination.Second);
        }
        else if (!destination.Second.ContainsAnyExcept(0UL))
        {
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The {what} hides nothing: its second polynomial is zero, so anybody can read it.");
        }
        CkksChecks.Residues(parameters, destination.Words, level.PrimeCount, what);
        destination.Seed = seed;
        return scale;
    }
}
