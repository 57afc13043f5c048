using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// Reads and writes CKKS objects in Microsoft SEAL's own binary format, versions 3.6 to 4.4: what C++, Python (TenSEAL)
/// and .NET programs exchange.
/// </summary>
/// <remarks>
/// Readers trust nothing: sizes are checked before memory is taken by them, residues must be below their primes, secret
/// keys must be ternary, ciphertexts must hide something. The format has no signature, so a reader cannot tell who
/// wrote a file. Files are read whole, and must end where their header says.
/// </remarks>
public static partial class SealFile
{
    private const byte CkksScheme = 2;
    private const int ArrayOverhead = SealHeader.Length + 8;
    private const int ModulusLength = SealHeader.Length + 8;

    /// <summary>Reads EncryptionParameters.</summary>
    /// <param name="file">The file, whole.</param>
    /// <exception cref="FlareCryptoException">It is malformed, not of CKKS, or below 128 bits of security.</exception>
    public static CkksParameters ReadParameters(ReadOnlySpan<byte> file)
    {
        var reader = new SealReader(file, ParametersLength(CkksParameters.MaxPrimes), "parameter file");
        var scheme = reader.Byte();
        if (scheme != CkksScheme)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The parameter file is of scheme {scheme}; CKKS is {CkksScheme}, and others are not supported.");
        var degree = reader.Word();
        var count = reader.Word();
        if (degree > CkksParameters.MaxDegree || count > CkksParameters.MaxPrimes)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The parameter file has N = {degree} and {count} primes; {CkksParameters.MaxDegree} and "
                    + $"{CkksParameters.MaxPrimes} are the most.");
        Span<ulong> primes = stackalloc ulong[(int)count];
        for (var i = 0; i < primes.Length; i++)
        {
            reader.Nested(8);
            primes[i] = reader.Word();
        }
        reader.Nested(8);
        reader.Expect(0, "a plain modulus of");
        reader.End();
        return new CkksParameters((int)degree, primes);
    }

    /// <summary>Writes EncryptionParameters.</summary>
    /// <param name="parameters">What to write.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="format">How; the default when null.</param>
    public static void Write(CkksParameters parameters, IBufferWriter<byte> destination, SealFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(destination);
        var writer = new SealWriter(
            ParametersLength(parameters.Primes.Count), format ?? SealFormat.Default, destination);
        writer.Byte(CkksScheme);
        writer.Word((ulong)parameters.Degree);
        writer.Word((ulong)parameters.Primes.Count);
        foreach (var prime in parameters.Primes)
        {
            writer.Nested(8);
            writer.Word(prime);
        }
        writer.Nested(8);
        writer.Word(0);
        writer.End(destination);
    }

    /// <summary>Reads a SecretKey, checking that it is one: ternary, and the same modulo every prime.</summary>
    /// <param name="file">The file, whole. It is secret: erase it after use.</param>
    /// <param name="parameters">The parameters that it must be of.</param>
    /// <exception cref="FlareCryptoException">It is malformed, damaged, or of other parameters.</exception>
    public static CkksSecretKey ReadSecretKey(ReadOnlySpan<byte> file, CkksParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        const string What = "secret key";
        var reader = new SealReader(file, PlaintextLength(parameters, parameters.KeyLevel), What);
        CheckLevel(reader.Id(), parameters.KeyLevel, What);
        var length = parameters.Degree * parameters.Primes.Count;
        reader.Expect((ulong)length, "a coefficient count of");
        if (reader.Double() != 1) throw new FlareCryptoException(CryptoFault.Malformed,
            "The secret key is damaged: its scale is not 1.");
        var residues = GC.AllocateUninitializedArray<ulong>(length, pinned: true);
        reader.Array(residues);
        reader.End();
        CkksChecks.Residues(parameters, residues, parameters.Primes.Count, What);
        CheckTernary(parameters, residues);
        return new CkksSecretKey(parameters, residues);
    }

    /// <summary>Writes a SecretKey. It is not encrypted: keep it where only its owner reads.</summary>
    /// <param name="key">What to write.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="format">How; the default when null.</param>
    public static void Write(CkksSecretKey key, IBufferWriter<byte> destination, SealFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(key);
        WritePlaintext(key.Parameters, key.Parameters.KeyLevel, 1, key.Residues, destination, format);
    }

    /// <summary>Reads a Plaintext of CKKS.</summary>
    /// <param name="file">The file, whole.</param>
    /// <param name="parameters">The parameters that it must be of.</param>
    /// <exception cref="FlareCryptoException">It is malformed, damaged, or of other parameters.</exception>
    public static CkksPlaintext ReadPlaintext(ReadOnlySpan<byte> file, CkksParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        const string What = "plaintext";
        var reader = new SealReader(file, PlaintextLength(parameters, parameters.FirstLevel), What);
        var level = DataLevel(reader.Id(), parameters, What);
        var residues = new ulong[parameters.Degree * level.PrimeCount];
        reader.Expect((ulong)residues.Length, "a coefficient count of");
        var scale = reader.Double();
        reader.Array(residues);
        reader.End();
        CkksChecks.Residues(parameters, residues, level.PrimeCount, What);
        return new CkksPlaintext(parameters, level, scale, residues);
    }

    /// <summary>Writes a Plaintext.</summary>
    /// <param name="plaintext">What to write.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="format">How; the default when null.</param>
    public static void Write(CkksPlaintext plaintext, IBufferWriter<byte> destination, SealFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(plaintext);
        WritePlaintext(plaintext.Parameters, plaintext.Level, plaintext.Scale, plaintext.Residues, destination, format);
    }

    private static int ParametersLength(int primeCount) => 1 + 8 + 8 + ModulusLength * (primeCount + 1);

    private static int PlaintextLength(CkksParameters parameters, CkksLevel level)
        => ParmsId.Size + 8 + 8 + ArrayOverhead + 8 * parameters.Degree * level.PrimeCount;

    private static void WritePlaintext(
        CkksParameters parameters, CkksLevel level, double scale, ulong[] residues, IBufferWriter<byte> destination,
        SealFormat? format)
    {
        ArgumentNullException.ThrowIfNull(destination);
        var writer = new SealWriter(PlaintextLength(parameters, level), format ?? SealFormat.Default, destination);
        writer.Id(level.Id);
        writer.Word((ulong)residues.Length);
        writer.Double(scale);
        writer.Array(residues);
        writer.End(destination);
    }

    private static CkksLevel DataLevel(ParmsId id, CkksParameters parameters, string what)
    {
        foreach (var level in parameters.Levels)
            if (level.Id == id)
                return level;
        throw new FlareCryptoException(CryptoFault.WrongParameters,
            $"The {what} is of parameters {id}, which are not a level of "
                + $"{parameters}. Read it with those it was made for.");
    }

    private static void CheckLevel(ParmsId id, CkksLevel level, string what)
    {
        if (id != level.Id)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"The {what} is of parameters {id}, not {level.Id}. Read it with those it was made for.");
    }

    private static void CheckTernary(CkksParameters parameters, ReadOnlySpan<ulong> residues)
    {
        var n = parameters.Degree;
        var part = new ulong[n];
        var first = new long[n];
        var wrong = 0L;
        for (var i = 0; i < parameters.Primes.Count; i++)
        {
            residues.Slice(i * n, n).CopyTo(part);
            parameters.Transforms[i].Inverse(part);
            var modulus = parameters.Transforms[i].Modulus;
            for (var j = 0; j < n; j++)
            {
                var value = (long)modulus.Add(part[j], 1) - 1; // -1, 0 or 1 for a ternary polynomial
                wrong |= i == 0 ? value & ~1 & ~(value >> 63) : value ^ first[j];
                if (i == 0) first[j] = value;
            }
        }
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(part.AsSpan()));
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(first.AsSpan()));
        if (wrong != 0)
            throw new FlareCryptoException(CryptoFault.Malformed,
                "The secret key is damaged: it is not a ternary polynomial.");
    }
}
