namespace Flare.Learning;

/// <summary>
/// exp of fixed operations on vectors: the same bits whatever their width. <see cref="Elementary"/> has the scalar
/// ones.
/// </summary>
internal static class LaneExponential
{
    // The least argument whose exponential has a float32 that is not subnormal.
    private const float LeastExponent = -87;

    /// <summary>
    /// eˣ for x ≤ 0, within 2 units in the last place; x below −87 counts as −87. NaN gives NaN. Cephes' expf (Moshier
    /// 1992).
    /// </summary>
    public static T Exp<T>(T x) where T : struct, ILanes<T>
    {
        x = T.Max(x, T.Broadcast(LeastExponent));
        var magic = T.Broadcast(Lanes.Magic);
        var rounded = x * T.Broadcast(1.44269504f) + magic;
        var n = rounded - magic;
        // ln 2 in two parts, the first of so few bits that its product with n is exact.
        var r = x - n * T.Broadcast(0.693359375f) - n * T.Broadcast(-2.12194440e-4f);
        var p = T.Broadcast(1.9875691500e-4f);
        p = p * r + T.Broadcast(1.3981999507e-3f);
        p = p * r + T.Broadcast(8.3334519073e-3f);
        p = p * r + T.Broadcast(4.1665795894e-2f);
        p = p * r + T.Broadcast(1.6666665459e-1f);
        p = p * r + T.Broadcast(5.0000001201e-1f);
        return (p * (r * r) + r + T.Broadcast(1)) * T.PowerOfTwo(rounded);
    }
}
