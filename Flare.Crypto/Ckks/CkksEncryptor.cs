using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// Encrypts numbers with a secret or a public key. Holds scratch memory of its own and is not safe for concurrent use:
/// one for each thread. With the secret key, encrypting into a ciphertext that exists allocates nothing but a seed.
/// </summary>
public sealed class CkksEncryptor : IDisposable
{
    private readonly CkksEncoder _encoder;
    private readonly SymmetricCore? _symmetric;
    private readonly PublicCore? _public;
    private readonly ulong[] _message;

    /// <summary>Encrypts with the secret key: the least noise, and half the bytes when seeded.</summary>
    /// <param name="key">The key; it must outlive the encryptor, which does not dispose of it.</param>
    public CkksEncryptor(CkksSecretKey key) : this(key, RandomNumberGenerator.Fill)
    {
    }

    /// <summary>Encrypts with a public key.</summary>
    /// <param name="key">The key.</param>
    public CkksEncryptor(CkksPublicKey key) : this(key, RandomNumberGenerator.Fill)
    {
    }

    internal CkksEncryptor(CkksSecretKey key, Entropy entropy)
        : this((key ?? throw new ArgumentNullException(nameof(key))).Parameters)
            => _symmetric = new SymmetricCore(key, entropy);

    internal CkksEncryptor(CkksPublicKey key, Entropy entropy)
        : this((key ?? throw new ArgumentNullException(nameof(key))).Parameters)
            => _public = new PublicCore(key, entropy);

    private CkksEncryptor(CkksParameters parameters)
    {
        _encoder = new CkksEncoder(parameters);
        _message = new ulong[parameters.Degree * parameters.FirstLevel.PrimeCount];
    }

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters => _encoder.Parameters;

    /// <summary>
    /// Whether ciphertexts keep the seed of their second polynomial, so that files hold half of the words. Only with
    /// the secret key; default true.
    /// </summary>
    public bool Seeded { get; set; } = true;

    /// <summary>How seeds are expanded; default BLAKE2Xb, as in SEAL.</summary>
    public SealGeneratorKind SeedKind
    {
        get => _symmetric?.SeedKind ?? SealGeneratorKind.Blake2xb;
        set
        {
            if (value is not (SealGeneratorKind.Blake2xb or SealGeneratorKind.Shake256))
                throw new ArgumentOutOfRangeException(nameof(value), value, "There are two kinds of generator.");
            if (_symmetric is not null) _symmetric.SeedKind = value;
        }
    }

    /// <summary>Encrypts real numbers at the first level; slots beyond them hold 0.</summary>
    /// <param name="values">At most N/2 finite numbers.</param>
    /// <param name="scale">The scale; 2^40 is usual.</param>
    /// <param name="destination">Receives the encryption; what it held is lost.</param>
    /// <exception cref="FlareCryptoException">A value is not finite or too large for the scale, or the scale is, or the
    /// destination is of other parameters.</exception>
    public void Encrypt(ReadOnlySpan<double> values, double scale, CkksCiphertext destination)
    {
        Prepare(destination, Parameters.FirstLevel);
        Encrypt(_encoder.ToCoefficients(values, scale, Parameters.FirstLevel), scale, destination);
    }

    /// <inheritdoc cref="Encrypt(ReadOnlySpan{double}, double, CkksCiphertext)"/>
    public void Encrypt(ReadOnlySpan<float> values, double scale, CkksCiphertext destination)
    {
        Prepare(destination, Parameters.FirstLevel);
        Encrypt(_encoder.ToCoefficients(values, scale, Parameters.FirstLevel), scale, destination);
    }

    /// <summary>Encrypts encoded values at their level.</summary>
    /// <param name="plaintext">The values, of the same parameters.</param>
    /// <returns>A new ciphertext.</returns>
    /// <exception cref="FlareCryptoException">The plaintext is of other parameters.</exception>
    public CkksCiphertext Encrypt(CkksPlaintext plaintext)
    {
        ArgumentNullException.ThrowIfNull(plaintext);
        Parameters.CheckMatches(plaintext.Parameters, "The plaintext");
        var destination = new CkksCiphertext(Parameters);
        if (_symmetric is not null)
        {
            destination.Level = plaintext.Level;
            _symmetric.EncryptZero(destination, Seeded);
        }
        else
        {
            _public!.EncryptZero(destination);
            while (destination.Level != plaintext.Level) CkksEvaluator.DropPrime(destination);
        }
        AddMessage(plaintext.Residues, destination);
        destination.Scale = plaintext.Scale;
        return destination;
    }

    /// <summary>Erases scratch memory; the key stays its owner's.</summary>
    public void Dispose()
    {
        _encoder.Clear();
        CryptographicOperations.ZeroMemory(System.Runtime.InteropServices.MemoryMarshal.AsBytes(_message.AsSpan()));
        _symmetric?.Dispose();
        _public?.Dispose();
    }

    private void Prepare(CkksCiphertext destination, CkksLevel level)
    {
        ArgumentNullException.ThrowIfNull(destination);
        Parameters.CheckMatches(destination.Parameters, "The ciphertext to encrypt into");
        destination.Reset(level);
    }

    private void Encrypt(double largest, double scale, CkksCiphertext destination)
    {
        if (_symmetric is not null && _encoder.FitsDirectly(largest, destination.Level))
        {
            _symmetric.Encrypt(_encoder, destination, Seeded);
        }
        else
        {
            if (_symmetric is not null) _symmetric.EncryptZero(destination, Seeded);
            else _public!.EncryptZero(destination);
            _encoder.ToResidues(largest, destination.Level, _message);
            AddMessage(_message, destination);
        }
        destination.Scale = scale;
    }

    private void AddMessage(ReadOnlySpan<ulong> message, CkksCiphertext destination)
    {
        var n = Parameters.Degree;
        for (var i = 0; i < destination.Level.PrimeCount; i++)
            Residues.Add(destination.First.Slice(i * n, n), message.Slice(i * n, n), Parameters.Primes[i]);
    }
}
