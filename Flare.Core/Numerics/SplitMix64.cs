namespace Flare;

/// <summary>
/// SplitMix64 (Steele, Lea and Flood 2014): a sequence of 64-bit numbers from one number of state. Frozen: the same
/// numbers on every platform and in every version of Flare. Not for secrets.
/// </summary>
public static class SplitMix64
{
    /// <summary>The next number of the sequence.</summary>
    /// <param name="state">Where the sequence is, any number; moved on by this call.</param>
    public static ulong Next(ref ulong state) => Mix(state += 0x9E3779B97F4A7C15UL);

    /// <summary>Spreads a number's bits over all 64; each number has a result of its own.</summary>
    /// <param name="value">Any number.</param>
    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9UL;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EBUL;
        return value ^ (value >> 31);
    }
}
