namespace Flare.Crypto;

/// <summary>
/// How much work breaking a set of lattice parameters takes, by the HomomorphicEncryption.org standard's tables.
/// </summary>
public enum SecurityLevel
{
    /// <summary>2^128 classical operations. Nothing weaker is accepted.</summary>
    Classical128 = 0,

    /// <summary>2^128 operations of a quantum computer.</summary>
    Quantum128 = 1,

    /// <summary>2^192 classical operations.</summary>
    Classical192 = 2,

    /// <summary>2^256 classical operations.</summary>
    Classical256 = 3,
}

internal static class SecurityLevels
{
    // Largest log2 q for N = 2^10 … 2^15, ternary secret, error deviation 3.2.
    private static ReadOnlySpan<short> Classical128 => [27, 54, 109, 218, 438, 881];
    private static ReadOnlySpan<short> Quantum128 => [25, 51, 101, 202, 411, 827];
    private static ReadOnlySpan<short> Classical192 => [19, 37, 75, 152, 305, 611];
    private static ReadOnlySpan<short> Classical256 => [14, 29, 58, 118, 237, 476];

    /// <summary>The most bits a modulus may have at this level and degree; 0 for degrees outside the tables.</summary>
    public static int MaxModulusBits(this SecurityLevel level, int degree)
    {
        var row = System.Numerics.BitOperations.Log2((uint)degree) - 10;
        if (!System.Numerics.BitOperations.IsPow2(degree) || row is < 0 or > 5)
            return 0;
        return level switch
        {
            SecurityLevel.Classical128 => Classical128[row],
            SecurityLevel.Quantum128 => Quantum128[row],
            SecurityLevel.Classical192 => Classical192[row],
            SecurityLevel.Classical256 => Classical256[row],
            _ => throw new ArgumentOutOfRangeException(nameof(level), level, "There is no such security level."),
        };
    }
}
