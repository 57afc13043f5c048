namespace Flare.Crypto;

/// <summary>
/// How much noise a ciphertext carries: the variance of a coefficient. It says how many bits of a decryption mean
/// something; the rest are noise that depends on the secret key, and are rounded away.
/// </summary>
/// <param name="Variance">The variance of the error of a coefficient, before division by the scale; above 0.</param>
/// <remarks>SEAL's files do not carry it, so whoever reads one says where the ciphertext came from.</remarks>
public readonly record struct NoiseEstimate(double Variance)
{
    // Encoding rounds a coefficient to an integer.
    internal const double Rounding = 1.0 / 12;

    /// <summary>A fresh encryption with the secret key.</summary>
    public static NoiseEstimate Symmetric { get; } = new(CkksSampling.NoiseVariance + Rounding);

    /// <summary>A fresh encryption with a public key.</summary>
    /// <param name="parameters">Its parameters.</param>
    public static NoiseEstimate PublicKey(CkksParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        // e·u + e1·s + e0, divided by the special prime where there is one; then the rounding of that division.
        var plain = CkksSampling.NoiseVariance * (1 + parameters.Degree * 4.0 / 3);
        if (parameters.Primes.Count == 1) return new(plain + Rounding);
        var special = (double)parameters.Primes[^1];
        return new NoiseEstimate(plain / (special * special) + Rounding) + Division(parameters);
    }

    /// <summary>The noise that dividing by a prime and rounding adds to a ciphertext.</summary>
    internal static NoiseEstimate Division(CkksParameters parameters)
        => new(Rounding * (1 + parameters.Degree * 2.0 / 3));

    /// <summary>The noise of a sum, or of a difference.</summary>
    /// <param name="left">The noise of one operand.</param>
    /// <param name="right">The noise of the other.</param>
    public static NoiseEstimate operator +(NoiseEstimate left, NoiseEstimate right)
        => new(left.Variance + right.Variance);

    /// <summary>The noise of a sum of so many ciphertexts.</summary>
    /// <param name="one">The noise of one.</param>
    /// <param name="count">How many.</param>
    public static NoiseEstimate operator *(NoiseEstimate one, int count) => new(one.Variance * count);

    /// <summary>Both operators under their names.</summary>
    /// <param name="left">The noise of one operand.</param>
    /// <param name="right">The noise of the other.</param>
    public static NoiseEstimate Add(NoiseEstimate left, NoiseEstimate right) => left + right;

    /// <summary>The noise of a sum of so many ciphertexts.</summary>
    /// <param name="one">The noise of one.</param>
    /// <param name="count">How many.</param>
    public static NoiseEstimate Multiply(NoiseEstimate one, int count) => one * count;

    /// <summary>
    /// The binary digits after the point that a decryption keeps: the finest grid of powers of two that is at least
    /// eight standard deviations of a slot's error wide.
    /// </summary>
    internal int FractionBits(CkksParameters parameters, double scale)
    {
        var deviation = Math.Sqrt(Variance * parameters.Degree) / scale;
        return (int)Math.Floor(-Math.Log2(8 * deviation));
    }
}
