
namespace Flare.Tests.Core.Tensors.Exact;

/// <summary>Seeded models for the tests of aggregation.</summary>
internal static class ExactModels
{
    public static readonly string[] Kinds =
        ["ordinary", "tiny", "huge", "denormal", "cancelling", "any bits", "sparse", "two scales", "few bits", "zeros"];

    /// <summary>A finite float of a kind.</summary>
    public static float Sample(Random random, string kind, int element, int contribution) => kind switch
    {
        "ordinary" => (float)((random.NextDouble() - 0.5) * 0.1),
        "tiny" => (float)((random.NextDouble() - 0.5) * 1e-30),
        "huge" => (float)((random.NextDouble() - 0.5) * 6e38),
        "denormal" => BitConverter.Int32BitsToSingle(random.Next(1 << 22) | (random.Next(2) << 31)),
        // Neighbours cancel but for their last bits.
        "cancelling" => (contribution % 2 == 0 ? 1 : -1) * MathF.BitIncrement(
            1 + element % 7) * (contribution % 3 == 0 ? 1 : MathF.BitIncrement(1f)),
        "any bits" => AnyBits(random),
        "sparse" => random.Next(10) == 0 ? (float)random.NextDouble() : random.Next(2) == 0 ? 0f : -0f,
        "two scales" => element % 5 == 0 ? 1e-40f * random.Next(100) : (float)random.NextDouble(),
        "few bits" => random.Next(-3, 4) * 0.25f,
        _ => 0,
    };

    public static StateDict Of(TensorLayout layout, Random random, string kind, int contribution)
    {
        var model = new StateDict(layout);
        foreach (var tensor in model)
        {
            var elements = tensor.AsSpan<float>();
            for (var i = 0; i < elements.Length; i++) elements[i] = Sample(random, kind, i, contribution);
        }
        return model.Freeze();
    }

    public static double AnyWeight(Random random, string kind) => kind switch
    {
        "integer" => random.Next(1, 5000),
        "large integer" => random.NextInt64(1L << 40, 1L << 53),
        "fraction" => random.NextDouble() + 1e-9,
        "power" => Math.ScaleB(1, random.Next(-64, 65)),
        "any" =>
        Math.Clamp(Math.ScaleB(1 + random.NextDouble(), random.Next(-64, 64)), ExactSum.MinWeight, ExactSum.MaxWeight),
        _ => 1,
    };

    public static TensorLayout Floats(params int[] lengths) =>
        new(lengths.Select((length, i) => new TensorSpec($"t{i}", DType.Float32, [length])));

    public static byte[] Bytes(StateDict model)
    {
        var bytes = new List<byte>();
        foreach (var tensor in model)
        {
            var spec = tensor.Spec;
            bytes.AddRange(spec.DType.Size() switch
            {
                4 when spec.DType == DType.Float32 =>
                    System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.AsReadOnlySpan<float>()),
                8 when spec.DType == DType.Float64 =>
                System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.AsReadOnlySpan<double>()),
                _ => throw new ArgumentException(spec.ToString()),
            });
        }
        return [.. bytes];
    }

    private static float AnyBits(Random random)
    {
        while (true)
        {
            var value = BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
            if (float.IsFinite(value)) return value;
        }
    }
}

/// <summary>Runs parts on the calling thread, last first.</summary>
internal sealed class BackwardScheduler(int parallelism) : ComputeScheduler
{
    public override int MaxParallelism => parallelism;

    public override Task<T> RunAsync<T>(Func<ValueTask<T>> work) => work().AsTask();

    public override void ForEachPart(int parts, Action<int> body)
    {
        for (var i = parts - 1; i >= 0; i--) body(i);
    }
}
