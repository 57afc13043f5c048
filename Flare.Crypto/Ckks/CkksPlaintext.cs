namespace Flare.Crypto;

/// <summary>
/// Encoded values: a polynomial in NTT form at one level, with the scale that its slots were multiplied by.
/// </summary>
public sealed class CkksPlaintext
{
    internal CkksPlaintext(CkksParameters parameters, CkksLevel level, double scale, ulong[] residues)
    {
        (Parameters, Level, Scale, Residues) = (parameters, level, scale, residues);
        CkksChecks.Scale(scale, level);
    }

    /// <summary>The parameters.</summary>
    public CkksParameters Parameters { get; }

    /// <summary>The level.</summary>
    public CkksLevel Level { get; }

    /// <summary>The scale: a coefficient is a slot's share times this, rounded.</summary>
    public double Scale { get; }

    // Level.PrimeCount blocks of N.
    internal ulong[] Residues { get; }
}
