using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>Encryption with the secret key: c1 = a from a public seed, c0 = m + e − a·s, in NTT form.</summary>
internal sealed class SymmetricCore : IDisposable
{
    private readonly KeyProduct _key;
    private readonly Entropy _entropy;
    private readonly long[] _integers;
    private readonly byte[] _scratch;
    private readonly SealGenerator _secretStream, _publicStream;

    public SymmetricCore(CkksSecretKey key, Entropy entropy)
    {
        _key = new KeyProduct(key);
        _entropy = entropy;
        _integers = new long[key.Parameters.Degree];
        _scratch = new byte[6 * key.Parameters.Degree + sizeof(ulong)];
        _secretStream = CkksRandom.Stream(entropy);
        _publicStream = CkksRandom.Stream(entropy);
    }

    public SealGeneratorKind SeedKind { get; set; } = SealGeneratorKind.Blake2xb;

    /// <summary>Encrypts zero at the ciphertext's level.</summary>
    public void EncryptZero(CkksCiphertext destination, bool keepSeed)
    {
        DrawNoise();
        Finish(destination, keepSeed);
    }

    /// <summary>Encrypts the coefficients that an encoder keeps, which fit directly: one transform a prime.</summary>
    public void Encrypt(CkksEncoder encoder, CkksCiphertext destination, bool keepSeed)
    {
        DrawNoise();
        encoder.AddRoundedTo(_integers);
        Finish(destination, keepSeed);
    }

    public void Dispose()
    {
        _key.Dispose();
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_integers.AsSpan()));
        CryptographicOperations.ZeroMemory(_scratch);
        _secretStream.Clear();
    }

    private void DrawNoise()
    {
        CkksRandom.Restart(_secretStream, _entropy);
        CkksSampling.Noise(_secretStream, _integers, _scratch);
    }

    private void Finish(CkksCiphertext destination, bool keepSeed)
    {
        var parameters = _key.Parameters;
        var (n, primes) = (parameters.Degree, destination.Level.PrimeCount);
        Span<byte> seed = stackalloc byte[SealGenerator.SeedSize];
        _entropy(seed);
        _publicStream.Restart(SeedKind, seed);
        var c0 = destination.First;
        var c1 = destination.Second;
        CkksSampling.Uniform(_publicStream, parameters.Transforms.AsSpan(0, primes), n, c1);
        for (var i = 0; i < primes; i++)
        {
            var part = c0.Slice(i * n, n);
            CkksSampling.ToResidues(_integers, parameters.Primes[i], part);
            parameters.Transforms[i].Forward(part);
            _key.SubtractFrom(part, c1.Slice(i * n, n), i);
        }
        destination.Seed = keepSeed ? new SealSeed(SeedKind, seed.ToArray()) : null;
        destination.Noise = NoiseEstimate.Symmetric;
    }
}
