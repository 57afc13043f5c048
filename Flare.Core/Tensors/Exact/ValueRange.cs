namespace Flare;

/// <summary>Where the bits of some finite numbers lie.</summary>
/// <param name="Top">All magnitudes are below 2^Top.</param>
/// <param name="Low">All are multiples of 2^Low.</param>
internal readonly record struct ValueRange(int Top, int Low)
{
    /// <summary>Nothing but zeros.</summary>
    public static ValueRange Zeros { get; } = new(int.MinValue, int.MaxValue);

    public bool IsZero => Top == int.MinValue;

    /// <summary>Of floats, from the extremes of their bits shifted left by one; null where one is infinite or not a
    /// number.</summary>
    public static ValueRange? OfFloats(uint largest, uint smallest) =>
        largest >= 0xFF00_0000 ? null
        : largest == 0 ? Zeros
        : new(Math.Max((int)(largest >> 24), 1) - 126, Math.Max((int)(smallest >> 24), 1) - 150);

    /// <summary>Of doubles; null where one is infinite or not a number.</summary>
    public static unsafe ValueRange? OfDoubles(double* values, int count)
    {
        var largest = 0UL;
        var least = ulong.MaxValue;
        for (var i = 0; i < count; i++)
        {
            var magnitude = ((ulong*)values)[i] << 1;
            largest = Math.Max(largest, magnitude);
            least = Math.Min(least, magnitude - 1);
        }
        return largest >= 0xFFE0_0000_0000_0000 ? null
            : largest == 0 ? Zeros
            : new(
                Math.Max((int)(largest >> 53), 1) - 1022, Math.Max((int)((least + 1) >> 53), 1) - 1075
                + TrailingZeros(values, count));
    }

    // Small integers and floats stored as doubles leave most low bits empty, which makes room in the window.
    private static unsafe int TrailingZeros(double* values, int count)
    {
        var fractions = 1UL << 52;
        for (var i = 0; i < count; i++) fractions |= ((ulong*)values)[i];
        return Math.Min(System.Numerics.BitOperations.TrailingZeroCount(fractions), 52);
    }
}
