namespace Flare.Learning;

/// <summary>
/// A site's trainer for classifiers: loads the global model, trains it on the site's data, and answers with the
/// difference of the weights and the number of steps. Asked to, it measures the global model, so that each round
/// reports <c>accuracy</c> and
/// <c>loss</c>. The same seed of the run gives the same bits.
/// </summary>
/// <param name="model">Makes the network for a seed, such as <see cref="Models.DigitsCnn"/>. Trainers that are given
/// the same method share networks: a simulation of many sites keeps as many as train at once.</param>
/// <param name="data">The site's data.</param>
public sealed class ClassifierTrainer(Func<long, Sequential> model, Dataset data) : Learner
{
    private readonly Func<long, Sequential> _model = model ?? throw new ArgumentNullException(nameof(model));
    private readonly Dataset _data = data ?? throw new ArgumentNullException(nameof(data));

    /// <summary>Passes over the data in a round. Default 1.</summary>
    public int LocalEpochs { get; init; } = 1;

    /// <summary>Samples in a batch. Default 16.</summary>
    public int BatchSize { get; init; } = 16;

    /// <summary>
    /// Makes a round's optimizer; momentum does not outlive a round, unless <see cref="KeepOptimizer"/> is set.
    /// Default: SGD, learning rate 0.05, momentum 0.9.
    /// </summary>
    public Func<Optimizer> Optimizer { get; init; } = LocalTrainer.DefaultOptimizer;

    /// <summary>
    /// Whether momentum and means go on from round to round, kept at the site in <see cref="FLContext.SiteState"/> as
    /// <see cref="OptimizerState"/>: each round's optimizer takes over what the last one has gathered. They were
    /// gathered on the way to the site's own weights, so with sites of unlike data they may point away from the global
    /// model. Default false.
    /// </summary>
    public bool KeepOptimizer { get; init; }

    /// <summary>The name under which <see cref="KeepOptimizer"/> keeps it in the site's state.</summary>
    public const string OptimizerState = "optimizer";

    /// <summary>
    /// μ of FedProx (Li et al. 2020): adds μ/2·‖w − w_global‖² to the loss, which keeps sites with unlike data
    /// together. Default 0, off; 0.01 to 1 are usual.
    /// </summary>
    public double ProximalTerm
    {
        get;
        init =>
            field = value >= 0 && double.IsFinite(value) ? value
            : throw new ArgumentOutOfRangeException(
                nameof(ProximalTerm), value, "A finite μ of at least 0 is expected.");
    }

    /// <summary>The data on which the global model is measured. Default: the data that the site trains on.</summary>
    public Dataset? Validation { get; init; }

    /// <inheritdoc/>
    protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(context);
        var global = WeightsOf(model);
        using var rented = NetworkPool.Rent(_model);
        var network = rented.Network;
        network.Load(global);
        var trainer = new LocalTrainer
        {
            Epochs = LocalEpochs,
            BatchSize = BatchSize,
            BeforeStep = ProximalTerm > 0 ? n => AddProximalTerm(n, global) : null,
        };
        var optimizer = Optimizer();
        if (KeepOptimizer && context.SiteState.Tensors.TryGetValue(OptimizerState, out var gathered))
            optimizer.Load(network, gathered);
        var result = trainer.Train(network, _data, unchecked((long)context.Seed("local training")), optimizer, abort);
        if (KeepOptimizer) context.SiteState.Tensors[OptimizerState] = optimizer.StateDict()!;
        var difference = global.Clone();
        network.CopyTo(difference);
        difference.SubtractInPlace(global);
        return ValueTask.FromResult(
            Dxo.WeightDiff(difference.HandOver()).WithMeta(MetaKey.NumStepsCurrentRound, result.Steps));
    }

    /// <inheritdoc/>
    protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort)
    {
        using var rented = NetworkPool.Rent(_model);
        rented.Network.Load(WeightsOf(model));
        var evaluation = LocalTrainer.Evaluate(rented.Network, Validation ?? _data, abort);
        return ValueTask.FromResult(Dxo.Metrics(("accuracy", evaluation.Accuracy), ("loss", evaluation.Loss))
            .WithMeta(MetaKey.NumStepsCurrentRound, evaluation.Samples));
    }

    private void AddProximalTerm(Sequential network, StateDict global)
    {
        var factor = (float)ProximalTerm;
        foreach (var parameter in network.Parameters)
        {
            var gradient = parameter.Gradient.AsSpan<float>();
            var weights = parameter.Value.AsReadOnlySpan<float>();
            var anchor = global[parameter.Name].AsReadOnlySpan<float>();
            for (var i = 0; i < gradient.Length; i++) gradient[i] += factor * (weights[i] - anchor[i]);
        }
    }

    private static StateDict WeightsOf(Dxo model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Kind == DataKind.Weights
            ? model.Tensors
            : throw new ArgumentException(
                model.Kind == DataKind.Collection
                    ? $"The task brings the sets {string.Join(", ", model.Sets.Take(10).Select(s => $"'{s}'"))}, and a "
                        + $"{nameof(ClassifierTrainer)} answers with '{Dxo.ModelSet}' alone: leave the workflow's "
                        + "property Sets empty, or write a Learner that answers with each of them (Dxo.WithSet)"
                    : $"A task of training or validation brings {DataKind.Weights}; this one brought {model.Kind}. "
                        + "Does a filter at this site turn it back?", nameof(model));
    }
}
