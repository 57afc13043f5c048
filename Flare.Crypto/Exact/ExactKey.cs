using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>What a secret key comes to under one set of parameters: the RLWE secret, and the authentication keys.</summary>
internal sealed class ExactKey : IDisposable
{
    private readonly AlignedBuffer<ulong>[] _secret, _quotients;

    public ExactKey(SecretKey key, ExactParameters parameters)
    {
        Id = key.Id;
        Transforms = Array.ConvertAll(parameters.Moduli, q => Ntt.For(parameters.Degree, q));
        _secret = Array.ConvertAll(Transforms, ntt => new AlignedBuffer<ulong>(ntt.Degree));
        _quotients = Array.ConvertAll(Transforms, ntt => new AlignedBuffer<ulong>(ntt.Degree));

        // Parameters are part of every label: sets never share a polynomial.
        var set = Convert.FromHexString(parameters.Id);
        key.Derive([.. "flare exact tag"u8, .. set], TagKey);
        key.Derive([.. "flare exact mask"u8, .. set], MaskKey);
        Span<byte> seed = stackalloc byte[32];
        key.Derive([.. "flare exact secret"u8, .. set], seed);
        SampleSecret(seed);
        CryptographicOperations.ZeroMemory(seed);
    }

    public KeyId Id { get; }

    public Ntt[] Transforms { get; }

    /// <summary>Keys the factors of <see cref="LinearTag"/>.</summary>
    public byte[] TagKey { get; } = GC.AllocateArray<byte>(32, pinned: true);

    /// <summary>Keys the masks of <see cref="LinearTag"/>.</summary>
    public byte[] MaskKey { get; } = GC.AllocateArray<byte>(32, pinned: true);

    /// <summary>Replaces values a of the i-th prime's transform (any words) by those of -a · s, and transforms them back.</summary>
    public void TimesNegatedSecret(int prime, Span<ulong> a)
    {
        var modulus = Transforms[prime].Modulus;
        ReadOnlySpan<ulong> secret = _secret[prime].Span, quotients = _quotients[prime].Span;
        for (var i = 0; i < a.Length; i++)
            a[i] = modulus.MultiplyFixed(a[i], secret[i], quotients[i]);
        Transforms[prime].Inverse(a);
    }

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(TagKey);
        CryptographicOperations.ZeroMemory(MaskKey);
        foreach (var buffer in (AlignedBuffer<ulong>[])[.. _secret, .. _quotients])
            buffer.Span.Clear();
    }

    private void SampleSecret(ReadOnlySpan<byte> seed)
    {
        using var stream = new AesStream(seed, new AesBuffer());
        var degree = Transforms[0].Degree;
        for (var done = 0; done < degree;)
            foreach (var word in stream.Next(degree - done))
            {
                // The negated coefficient: the distribution is symmetric, and -s is what both directions need.
                long s = -Samplers.Ternary(word);
                for (var i = 0; i < Transforms.Length; i++)
                    _secret[i].Span[done] = (ulong)s + (Transforms[i].Modulus.Value & (ulong)(s >> 63));
                done++;
            }

        for (var i = 0; i < Transforms.Length; i++)
        {
            Transforms[i].Forward(_secret[i].Span);
            for (var j = 0; j < degree; j++)
                _quotients[i].Span[j] = Transforms[i].Modulus.Quotient(_secret[i].Span[j]);
        }
    }
}
