namespace Flare.Learning;

/// <summary>PyTorch's default initialisation.</summary>
internal static class Initial
{
    /// <summary>
    /// Kaiming uniform with a = √5, for weight and bias alike: uniform within ±1/√fanIn (He et al. 2015; torch.nn's
    /// reset_parameters). The distribution is PyTorch's, the numbers for a seed are ours.
    /// </summary>
    public static void KaimingUniform(SeededRandom random, int fanIn, TensorView weight, TensorView bias)
    {
        var bound = 1 / Math.Sqrt(fanIn);
        Uniform(random, bound, weight.AsSpan<float>());
        Uniform(random, bound, bias.AsSpan<float>());
    }

    private static void Uniform(SeededRandom random, double bound, Span<float> values)
    {
        foreach (ref var value in values) value = (float)((2 * random.NextDouble() - 1) * bound);
    }
}
