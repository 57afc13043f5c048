using System.Runtime.Intrinsics;

namespace Flare.Learning;

/// <summary>
/// A vector of floats, so that each kernel is written once and compiled for every width. All widths give the same bits,
/// on every processor: the kernels keep the order of every sum independent of the width, and an operation here is one
/// that IEEE 754 rounds in one way only. So a product is rounded before it is added; fused multiply-add, which not
/// every processor has, is used nowhere.
/// </summary>
internal unsafe interface ILanes<TSelf> where TSelf : struct, ILanes<TSelf>
{
    static abstract int Count { get; }

    static abstract TSelf Load(float* source);

    static abstract void Store(TSelf value, float* destination);

    static abstract TSelf Broadcast(float value);

    static abstract TSelf operator +(TSelf left, TSelf right);

    static abstract TSelf operator -(TSelf left, TSelf right);

    static abstract TSelf operator *(TSelf left, TSelf right);

    static abstract TSelf operator /(TSelf left, TSelf right);

    /// <summary>IEEE 754's maximum: NaN where one is, and +0 above −0.</summary>
    static abstract TSelf Max(TSelf left, TSelf right);

    static abstract TSelf SquareRoot(TSelf value);

    /// <summary><paramref name="value"/> where left is greater, else +0.</summary>
    static abstract TSelf WhereGreater(TSelf left, TSelf right, TSelf value);

    /// <summary><paramref name="value"/> where left and right are equal, else +0.</summary>
    static abstract TSelf WhereEqual(TSelf left, TSelf right, TSelf value);

    /// <summary><paramref name="value"/> where left and right are not equal, else +0.</summary>
    static abstract TSelf WhereUnequal(TSelf left, TSelf right, TSelf value);

    /// <summary>2ⁿ for n from −126 to 127, given as <see cref="Lanes.Magic"/> + n.</summary>
    static abstract TSelf PowerOfTwo(TSelf magicPlusN);
}

/// <summary>What the widths have in common.</summary>
internal static class Lanes
{
    /// <summary>
    /// 1.5 · 2²³: a small number that is added to it is rounded to a whole one, which stands in its lowest bits.
    /// </summary>
    public const float Magic = 12582912f;

    /// <summary>The bits of 1.0f, and how far the exponent lies up.</summary>
    internal const int OneBits = 0x3F800000, ExponentShift = 23;

    [ThreadStatic]
    private static int s_forced;

    /// <summary>
    /// How many floats the kernels of this thread take at a time: 16, 8, 4, or 1 where the runtime has no vectors.
    /// </summary>
    public static int Width => s_forced > 0 ? s_forced : Widest;

    private static int Widest =>
        Vector512.IsHardwareAccelerated ? 16
        : Vector256.IsHardwareAccelerated ? 8
        : Vector128.IsHardwareAccelerated ? 4
        : 1;

    /// <summary>Makes this thread compute with another width, for tests; 0 is the widest again.</summary>
    internal static void Force(int width) => s_forced = width is 0 or 1 or 4 or 8 or 16
        ? width
        : throw new ArgumentOutOfRangeException(nameof(width), width, "A width of 1, 4, 8 or 16 is expected, or 0.");
}
