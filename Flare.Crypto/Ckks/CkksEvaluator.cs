namespace Flare.Crypto;

/// <summary>
/// What can be computed on ciphertexts without a key. Operands must agree in parameters, level and scale; nothing is
/// adjusted silently. Results replace the first operand, whose seed is forgotten.
/// </summary>
public static class CkksEvaluator
{
    /// <summary>sum += other, slot by slot. Allocates nothing.</summary>
    /// <param name="sum">Receives the sum.</param>
    /// <param name="other">Of the same parameters, level and scale.</param>
    /// <exception cref="FlareCryptoException">They differ in one of these, or one is empty.</exception>
    public static void Add(CkksCiphertext sum, CkksCiphertext other)
    {
        CheckTogether(sum, other);
        var n = sum.Parameters.Degree;
        var words = sum.Words;
        var others = other.Words;
        for (var start = 0; start < words.Length; start += n)
            Residues.Add(words.Slice(start, n), others.Slice(start, n), PrimeAt(sum, start));
        (sum.Noise, sum.Seed) = (sum.Noise + other.Noise, null);
    }

    /// <summary>difference -= other, slot by slot. Allocates nothing.</summary>
    /// <param name="difference">Receives the difference.</param>
    /// <param name="other">Of the same parameters, level and scale.</param>
    /// <exception cref="FlareCryptoException">They differ in one of these, or one is empty.</exception>
    public static void Subtract(CkksCiphertext difference, CkksCiphertext other)
    {
        CheckTogether(difference, other);
        var n = difference.Parameters.Degree;
        var words = difference.Words;
        var others = other.Words;
        for (var start = 0; start < words.Length; start += n)
            Residues.Subtract(words.Slice(start, n), others.Slice(start, n), PrimeAt(difference, start));
        (difference.Noise, difference.Seed) = (difference.Noise + other.Noise, null);
    }

    /// <summary>product *= factor, slot by slot; the scale becomes the product of both scales.</summary>
    /// <param name="product">Receives the product.</param>
    /// <param name="factor">Of the same parameters and level; not all zeros, which would leave a ciphertext of
    /// nothing.</param>
    /// <exception cref="FlareCryptoException">They differ, the scales' product outgrows the level, or the factor is
    /// zero.</exception>
    public static void Multiply(CkksCiphertext product, CkksPlaintext factor)
    {
        ArgumentNullException.ThrowIfNull(product);
        ArgumentNullException.ThrowIfNull(factor);
        product.Parameters.CheckMatches(factor.Parameters, "The factor");
        product.CheckFilled("The ciphertext");
        CheckLevels(product.Level, factor.Level);
        var scale = product.Scale * factor.Scale;
        CkksChecks.Scale(scale, product.Level);
        var norm = new CkksEncoder(product.Parameters).SquaredNorm(factor);
        if (norm == 0)
            throw new FlareCryptoException(CryptoFault.ValueOutOfRange,
                "Multiplying by zero would leave a ciphertext that anybody can read; drop it instead.");

        var n = product.Parameters.Degree;
        var words = product.Words;
        for (var start = 0; start < words.Length; start += n)
        {
            var at = start % product.PolynomialLength;
            Residues.Multiply(
                words.Slice(start, n), factor.Residues.AsSpan(at, n), product.Parameters.Transforms[at / n].Modulus);
        }
        (product.Scale, product.Noise, product.Seed) = (scale, new NoiseEstimate(product.Noise.Variance * norm), null);
    }

    /// <summary>Divides by the level's last prime: scale and noise shrink by it, and the level drops by one.</summary>
    /// <param name="ciphertext">A ciphertext above the lowest level.</param>
    /// <exception cref="FlareCryptoException">There is no lower level, or the scale would fall below 1.</exception>
    public static void Rescale(CkksCiphertext ciphertext)
    {
        var next = NextLevel(ciphertext);
        var (parameters, count) = (ciphertext.Parameters, ciphertext.Level.PrimeCount);
        var prime = (double)parameters.Primes[count - 1];
        var scale = ciphertext.Scale / prime;
        CkksChecks.Scale(scale, next);
        var scratch = new ulong[parameters.Degree];
        RnsDivision.ByLastPrime(parameters, ciphertext.First, count, scratch);
        RnsDivision.ByLastPrime(parameters, ciphertext.Second, count, scratch);
        DropPrime(ciphertext);
        ciphertext.Scale = scale;
        ciphertext.Noise = new NoiseEstimate(
            ciphertext.Noise.Variance / (prime * prime)) + NoiseEstimate.Division(parameters);
    }

    /// <summary>Drops the level's last prime; values and scale stay.</summary>
    /// <param name="ciphertext">A ciphertext above the lowest level, whose values fit the next.</param>
    /// <exception cref="FlareCryptoException">There is no lower level, or the scale does not fit it.</exception>
    public static void SwitchDown(CkksCiphertext ciphertext)
    {
        CkksChecks.Scale(
            ciphertext is null ? throw new ArgumentNullException(nameof(ciphertext)) : ciphertext.Scale,
            NextLevel(ciphertext));
        DropPrime(ciphertext);
    }

    internal static void DropPrime(CkksCiphertext ciphertext)
    {
        var next = NextLevel(ciphertext, checkFilled: false);
        var kept = ciphertext.Parameters.Degree * next.PrimeCount;
        var second = ciphertext.Second[..kept];
        ciphertext.Level = next;
        second.CopyTo(ciphertext.Second);
        ciphertext.Seed = null;
    }

    private static CkksLevel NextLevel(CkksCiphertext ciphertext, bool checkFilled = true)
    {
        ArgumentNullException.ThrowIfNull(ciphertext);
        if (checkFilled) ciphertext.CheckFilled("The ciphertext");
        return ciphertext.Parameters.Below(ciphertext.Level)
            ?? throw new FlareCryptoException(CryptoFault.WrongParameters,
                "The ciphertext is at the lowest level: there is no prime left to drop. Encrypt with more primes.");
    }

    private static ulong PrimeAt(CkksCiphertext ciphertext, int start)
        => ciphertext.Parameters.Primes[start / ciphertext.Parameters.Degree % ciphertext.Level.PrimeCount];

    private static void CheckTogether(CkksCiphertext a, CkksCiphertext b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        a.Parameters.CheckMatches(b.Parameters, "The second ciphertext");
        a.CheckFilled("The first ciphertext");
        b.CheckFilled("The second ciphertext");
        CheckLevels(a.Level, b.Level);
        if (Math.Abs(a.Scale - b.Scale) > Math.Max(a.Scale, b.Scale) * 1e-15)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"The scales differ: {Readable.Format(a.Scale, "R")} and {Readable.Format(b.Scale, "R")}. Encode "
                    + "both with one scale, or rescale one first.");
    }

    private static void CheckLevels(CkksLevel a, CkksLevel b)
    {
        if (a.Id != b.Id)
            throw new FlareCryptoException(CryptoFault.WrongParameters,
                $"The levels differ: {a.PrimeCount} primes and {b.PrimeCount}. Switch the higher one down first.");
    }
}
