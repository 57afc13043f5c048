using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>
/// Decrypts with the secret key, and rounds what comes out to the bits that are not noise. Holds scratch memory of its
/// own and is not safe for concurrent use: one for each thread.
/// </summary>
/// <remarks>
/// Decryptions of CKKS are approximate, and their error depends on the secret key: whoever sees a ciphertext and its
/// raw decryption can compute the key (Li and Micciancio, 2021). So values leave as multiples of 2^-b, the grid being
/// at least eight standard deviations of the error wide. That hides the error of all but the values that fall near the
/// middle between two grid points: it is the customary measure, not a proof. Do not publish decryptions next to their
/// ciphertexts; where exactness or proof matters, use the exact scheme.
/// </remarks>
public sealed class CkksDecryptor : IDisposable
{
    private readonly KeyProduct _key;
    private readonly CkksEncoder _encoder;
    private readonly ulong[] _words;

    /// <summary>Decrypts with a key.</summary>
    /// <param name="key">The key; it must outlive the decryptor, which does not dispose of it.</param>
    public CkksDecryptor(CkksSecretKey key)
    {
        _key = new KeyProduct(key);
        _encoder = new CkksEncoder(key.Parameters);
        _words = new ulong[key.Parameters.Degree * key.Parameters.FirstLevel.PrimeCount];
    }

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters => _key.Parameters;

    /// <summary>
    /// Decrypts the first slots as real numbers, rounded by the ciphertext's own <see cref="CkksCiphertext.Noise"/>.
    /// </summary>
    /// <param name="ciphertext">A ciphertext under this key; one that is damaged, or under another, is refused.</param>
    /// <param name="destination">Receives as many slots as it is long, at most N/2.</param>
    /// <returns>The number b of binary digits after the point that were kept: values are multiples of 2^-b.</returns>
    /// <exception cref="FlareCryptoException">Parameters or key differ, or the ciphertext is damaged or
    /// overflowed.</exception>
    public int Decrypt(CkksCiphertext ciphertext, Span<double> destination)
    {
        ArgumentNullException.ThrowIfNull(ciphertext);
        return Decrypt(ciphertext, ciphertext.Noise, destination);
    }

    /// <summary>
    /// The same, where the caller knows the noise better: how often, and with which kind of key, it was encrypted.
    /// </summary>
    /// <param name="ciphertext">A ciphertext under this key.</param>
    /// <param name="noise">Its noise, for instance <c>NoiseEstimate.Symmetric * 8</c> for a sum of eight.</param>
    /// <param name="destination">Receives as many slots as it is long, at most N/2.</param>
    /// <returns>The number of binary digits after the point that were kept.</returns>
    /// <exception cref="FlareCryptoException">Parameters or key differ, or the ciphertext is damaged or
    /// overflowed.</exception>
    public int Decrypt(CkksCiphertext ciphertext, NoiseEstimate noise, Span<double> destination)
    {
        var slots = Slots(ciphertext, destination.Length);
        var places = Parameters.Embedding.Places;
        var bits = noise.FractionBits(Parameters, ciphertext.Scale);
        var (up, down) = (Math.ScaleB(1, bits), Math.ScaleB(1, -bits));
        for (var i = 0; i < destination.Length; i++) destination[i] = Math.Round(slots[places[i]] * up) * down;
        return bits;
    }

    /// <inheritdoc cref="Decrypt(CkksCiphertext, NoiseEstimate, Span{double})"/>
    public int Decrypt(CkksCiphertext ciphertext, NoiseEstimate noise, Span<float> destination)
    {
        var slots = Slots(ciphertext, destination.Length);
        var places = Parameters.Embedding.Places;
        var bits = noise.FractionBits(Parameters, ciphertext.Scale);
        var (up, down) = (Math.ScaleB(1, bits), Math.ScaleB(1, -bits));
        for (var i = 0; i < destination.Length; i++) destination[i] = (float)(Math.Round(slots[places[i]] * up) * down);
        return bits;
    }

    /// <summary>Without rounding: for tests of accuracy, never for what leaves the key's holder.</summary>
    internal void DecryptRaw(CkksCiphertext ciphertext, Span<double> destination)
    {
        var slots = Slots(ciphertext, destination.Length);
        var places = Parameters.Embedding.Places;
        for (var i = 0; i < destination.Length; i++) destination[i] = slots[places[i]];
    }

    /// <summary>Erases scratch memory; the key stays its owner's.</summary>
    public void Dispose()
    {
        _key.Dispose();
        _encoder.Clear();
        CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_words.AsSpan()));
    }

    private ReadOnlySpan<double> Slots(CkksCiphertext ciphertext, int count)
    {
        ArgumentNullException.ThrowIfNull(ciphertext);
        Parameters.CheckMatches(ciphertext.Parameters, "The ciphertext");
        ciphertext.CheckFilled("The ciphertext");
        if (count > Parameters.SlotCount)
            throw new ArgumentException($"A ciphertext has {Parameters.SlotCount} slots, not {count}.");

        var n = Parameters.Degree;
        var words = _words.AsSpan(0, ciphertext.PolynomialLength);
        ciphertext.First.CopyTo(words);
        for (var i = 0; i < ciphertext.Level.PrimeCount; i++)
            _key.AddTo(words.Slice(i * n, n), ciphertext.Second.Slice(i * n, n), i);
        var largest = _encoder.FromResidues(words, ciphertext.Level);

        // Under another key, or after damage, coefficients are spread over the whole modulus: of N of them one is
        // beyond a quarter but once in 2^N times.
        if (Math.Log2(Math.Max(largest, 1)) > ciphertext.Level.LogModulus - 2)
            throw new FlareCryptoException(CryptoFault.WrongKey,
                "The ciphertext does not decrypt: it is under another key "
                    + "or damaged, or its values outgrew the modulus.");
        return _encoder.ToSlots(ciphertext.Scale);
    }
}
