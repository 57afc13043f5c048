namespace Flare.Crypto;

/// <summary>What to do with values outside the fixed-point range. NaN and infinities are always refused.</summary>
public enum OutOfRange
{
    /// <summary>Encrypt nothing and throw, naming the value. The default.</summary>
    Refuse = 0,

    /// <summary>Move them to the range's end, and count them.</summary>
    Clip = 1,
}
