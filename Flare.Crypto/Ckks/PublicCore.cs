using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// Encryption of zero with a public key: (c0, c1) = u·(p0, p1) + (e0, e1) modulo all primes, then divided by the
/// special prime, which leaves of the noise little more than the rounding.
/// </summary>
internal sealed class PublicCore(CkksPublicKey key, Entropy entropy) : IDisposable
{
    private readonly long[] _integers = new long[key.Parameters.Degree];
    private readonly byte[] _scratch = new byte[6 * key.Parameters.Degree + sizeof(ulong)];
    private readonly ulong[] _once = new ulong[key.Zero.PolynomialLength];
    private readonly ulong[] _wide = new ulong[key.Zero.PolynomialLength];
    private readonly ulong[] _part = new ulong[key.Parameters.Degree];
    private readonly SealGenerator _stream = CkksRandom.Stream(entropy);

    /// <summary>Encrypts zero at the first level.</summary>
    public void EncryptZero(CkksCiphertext destination)
    {
        var parameters = key.Parameters;
        var (n, all) = (parameters.Degree, parameters.Primes.Count);
        CkksRandom.Restart(_stream, entropy);
        CkksSampling.Ternary(_stream, _integers);
        Transform(_once);
        for (var polynomial = 0; polynomial < 2; polynomial++)
        {
            CkksSampling.Noise(_stream, _integers, _scratch);
            Transform(_wide);
            var half = polynomial == 0 ? key.Zero.First : key.Zero.Second;
            for (var i = 0; i < all; i++)
            {
                var modulus = parameters.Transforms[i].Modulus;
                half.Slice(i * n, n).CopyTo(_part);
                Residues.Multiply(_part, _once.AsSpan(i * n, n), modulus);
                Residues.Add(_wide.AsSpan(i * n, n), _part, modulus.Value);
            }
            if (all > 1) RnsDivision.ByLastPrime(parameters, _wide, all, _part);
            var target = polynomial == 0 ? destination.First : destination.Second;
            _wide.AsSpan(0, target.Length).CopyTo(target);
        }
        destination.Seed = null;
        destination.Noise = NoiseEstimate.PublicKey(parameters);
    }

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_integers.AsSpan()));
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_once.AsSpan()));
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_wide.AsSpan()));
        CryptographicOperations.ZeroMemory(_scratch);
        _stream.Clear();
    }

    private void Transform(Span<ulong> residues)
    {
        var n = key.Parameters.Degree;
        for (var i = 0; i < key.Parameters.Primes.Count; i++)
        {
            var part = residues.Slice(i * n, n);
            CkksSampling.ToResidues(_integers, key.Parameters.Primes[i], part);
            key.Parameters.Transforms[i].Forward(part);
        }
    }
}
