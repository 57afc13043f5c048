using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>Models, trainers whose result is known, and what the federation must make of them.</summary>
internal static class EncryptedSites
{
    public static readonly EncryptionPolicy Policy = new() { MaxSites = 8, Bits = 22, Range = 4 }; // multiples of 2^-19

    /// <summary>A model of all floating-point types, a counter and a flag.</summary>
    public static StateDict Model(int seed = 1)
    {
        var random = new Random(seed);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2) - 1)];
        return new StateDictBuilder()
            .Add<float>("body.weight", Values(5000), 50, 100)
            .Add<double>("body.bias", [.. Values(7).Select(v => (double)v)])
            .AddBuffer<long>("norm.count", [0])
            .AddBuffer<bool>("norm.frozen", [true])
            .Add<Half>("head.half", [.. Values(33).Select(v => (Half)v)])
            .Add<BFloat16>("head.brain", [.. Values(17).Select(v => (BFloat16)v)])
            .Add<float>("head.weight", Values(300), 10, 30)
            .Build();
    }

    public static int Steps(int site) => 10 + (7 * site);

    /// <summary>What a site trains, as floats; the same everywhere.</summary>
    public static StateDict Train(StateDict model, int site, int round)
    {
        var trained = model.Clone();
        var random = new Random((1000 * site) + round);
        for (var i = 0; i < trained.Count; i++)
        {
            var tensor = trained[i];
            float Step() => ((random.NextSingle() * 2) - 1) * 0.25f;
            switch (tensor.Spec.DType)
            {
                case DType.Float32: foreach (ref var v in tensor.AsSpan<float>()) v += Step(); break;
                case DType.Float64: foreach (ref var v in tensor.AsSpan<double>()) v += Step(); break;
                case DType.Float16: foreach (ref var v in tensor.AsSpan<Half>()) v += (Half)Step(); break;
                case DType.BFloat16: foreach (ref var v in tensor.AsSpan<BFloat16>())
                    v = (BFloat16)((float)v + Step()); break;
                case DType.Int64: tensor.AsSpan<long>()[0] += 3 * (site + 1); break;
            }
        }
        return trained;
    }

    /// <summary>
    /// Trains as <see cref="Train"/>, answers with weights or their difference, and measures the mean of a tensor.
    /// </summary>
    public static Executor Trainer(
        int site, DataKind kind = DataKind.Weights, Func<int, int>? steps = null, Action<StateDict>? spoil = null) =>
        new Federations.Scripted((task, input, context, _) =>
    {
        var model = Dxo.From(input).Tensors;
        if (task != TaskNames.Train)
            return ValueTask.FromResult(
                Dxo.Metrics(("accuracy", model["head.weight"].AsReadOnlySpan<float>()[0])).ToShareable());
        var trained = Train(model, site, context.Round);
        if (kind == DataKind.WeightDiff) trained = trained - model;
        spoil?.Invoke(trained);
        return ValueTask.FromResult(
            new Dxo(kind, trained).WithMeta(MetaKey.NumStepsCurrentRound, steps?.Invoke(context.Round) ?? Steps(site))
            .ToShareable());
    });

    /// <summary>
    /// One round in plain sight: Σ round(x · steps / reference · 2^f), divided by Σ steps / reference.
    /// </summary>
    public static StateDict Reference(
        StateDict model, int round, int sites, int reference, DataKind kind, Quantization format)
    {
        StateDict[] trained = [.. Enumerable.Range(0, sites).Select(site =>
        {
            var weights = Train(model, site, round);
            return kind == DataKind.WeightDiff ? model + (weights - model) : weights;
        })];
        var divisor = Enumerable.Range(0, sites).Sum(Steps) / (double)reference;
        var mean = model.Clone();
        for (var tensor = 0; tensor < mean.Count; tensor++)
        {
            if (mean[tensor].Spec.DType == DType.Int64)
                mean[tensor].AsSpan<long>()[0] = (long)Math.Round(
                    Enumerable.Range(0, sites)
                    .Sum(s => (double)Steps(s) * trained[s][tensor].AsReadOnlySpan<long>()[0]) / Enumerable.Range(
                        0, sites).Sum(Steps));
            if (!mean[tensor].Spec.DType.IsFloatingPoint()) continue;
            for (var i = 0; i < mean[tensor].Spec.Length; i++)
            {
                var sum = 0L;
                for (var site = 0; site < sites; site++)
                    sum += (long)Math.Round(
                        (float)(Get(trained[site][tensor], i) * Steps(site) / reference) * Math.ScaleB(
                            1, format.FractionBits));
                Set(mean[tensor], i, sum * Math.ScaleB(1, -format.FractionBits) / divisor);
            }
        }
        return mean;
    }

    public static double Get(TensorView tensor, int i) => tensor.Spec.DType switch
    {
        DType.Float32 => tensor.AsReadOnlySpan<float>()[i],
        DType.Float64 => tensor.AsReadOnlySpan<double>()[i],
        DType.Float16 => (double)tensor.AsReadOnlySpan<Half>()[i],
        _ => (float)tensor.AsReadOnlySpan<BFloat16>()[i],
    };

    private static void Set(TensorView tensor, int i, double value)
    {
        switch (tensor.Spec.DType)
        {
            case DType.Float32: tensor.AsSpan<float>()[i] = (float)value; break;
            case DType.Float64: tensor.AsSpan<double>()[i] = value; break;
            case DType.Float16: tensor.AsSpan<Half>()[i] = (Half)value; break;
            default: tensor.AsSpan<BFloat16>()[i] = (BFloat16)(float)value; break;
        }
    }

    public static KeyRing Ring(params int[] seeds)
    {
        var ring = new KeyRing(RlweFixture.Key(seeds[0]));
        foreach (var seed in seeds.Skip(1)) ring.Add(RlweFixture.Key(seed));
        return ring;
    }
}
