using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// What a secret key comes to under one set of parameters: the RLWE secret, and the authentication keys.
/// </summary>
internal sealed class RlweKey : IDisposable
{
    private readonly AlignedBuffer<ulong>[] _secret;

    public RlweKey(SecretKey key, RlweParameters parameters)
    {
        Id = key.Id;
        Transforms = Array.ConvertAll(parameters.Moduli, q => Ntt.For(parameters.Degree, q));
        TagFactors = new AlignedBuffer<ulong>(parameters.Degree);

        // Parameters are part of every label: sets never share a polynomial.
        var set = Convert.FromHexString(parameters.Id);
        key.Derive([.. "flare exact tag"u8, .. set], TagKey);
        key.Derive([.. "flare exact mask"u8, .. set], MaskKey);
        Span<byte> seed = stackalloc byte[32];
        key.Derive([.. "flare exact secret"u8, .. set], seed);
        _secret = SampleSecret(seed, parameters);
        CryptographicOperations.ZeroMemory(seed);
        using var tagKey = new AesStream(TagKey, new AesBuffer());
        LinearTag.Factors(tagKey, TagFactors.Span);
    }

    public KeyId Id { get; }

    public Ntt[] Transforms { get; }

    /// <summary>Keys the factors of <see cref="LinearTag"/>.</summary>
    public byte[] TagKey { get; } = GC.AllocateArray<byte>(32, pinned: true);

    /// <summary>The factors of <see cref="LinearTag"/> that all chunks share.</summary>
    public AlignedBuffer<ulong> TagFactors { get; }

    /// <summary>Keys the masks of <see cref="LinearTag"/>.</summary>
    public byte[] MaskKey { get; } = GC.AllocateArray<byte>(32, pinned: true);

    /// <summary>
    /// Replaces values a of the i-th prime's transform by the coefficients of -a · s · (q/qᵢ)⁻¹ modulo that prime qᵢ:
    /// the digits that <see cref="RlweCodec"/> composes.
    /// </summary>
    public void TimesNegatedSecret(int prime, Span<ulong> a) => Transforms[prime].InverseOfProduct(a, _secret[prime]);

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(TagKey);
        CryptographicOperations.ZeroMemory(MaskKey);
        TagFactors.Span.Clear();
        foreach (var buffer in _secret)
            buffer.Span.Clear();
    }

    private AlignedBuffer<ulong>[] SampleSecret(ReadOnlySpan<byte> seed, RlweParameters parameters)
    {
        var residues = Array.ConvertAll(Transforms, ntt => new AlignedBuffer<ulong>(ntt.Degree));
        using var stream = new AesStream(seed, new AesBuffer());
        for (var done = 0; done < parameters.Degree;)
            foreach (var word in stream.Next(parameters.Degree - done))
            {
                // The negated coefficient: the distribution is symmetric, and -s is what both directions need.
                long s = -Samplers.Ternary(word);
                for (var i = 0; i < residues.Length; i++)
                    residues[i].Span[done] = (ulong)s + (Transforms[i].Modulus.Value & (ulong)(s >> 63));
                done++;
            }

        var factors = new AlignedBuffer<ulong>[residues.Length];
        for (var i = 0; i < residues.Length; i++)
        {
            var modulus = Transforms[i].Modulus;
            var inverse = modulus.Inverse(parameters.Cofactor(i));
            foreach (ref var residue in residues[i].Span)
                residue = modulus.Multiply(residue, inverse);
            Transforms[i].Forward(residues[i].Span);
            factors[i] = Transforms[i].Factor(residues[i].Span);
            residues[i].Span.Clear();
        }

        return factors;
    }
}
