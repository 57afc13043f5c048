using Flare.Workflows;

namespace Flare.Benchmarks.Rounds;

/// <summary>
/// A federation whose sites answer at once with the same small difference: what is left is the runtime.
/// </summary>
internal static class NoOpFederation
{
    public static StateDict Model(int parameters) =>
        new(new TensorLayout(new TensorSpec("w", DType.Float32, [parameters])));

    public static Federation Create(
        int sites, int rounds, StateDict model, Action<FederationBuilder>? configure = null) =>
        Federation.InProcess(f =>
        {
            f.AddSites(sites, _ => Executor(model.Layout)).UseController(
                new FedAvg { Rounds = rounds, MinSites = sites, Validation = ValidationMode.None });
            configure?.Invoke(f);
        });

    /// <summary>Answers at once.</summary>
    /// <param name="layout">The model's.</param>
    /// <param name="started">Called at each task.</param>
    public static Executor Executor(TensorLayout layout, Action? started = null) => new NoOp(layout, started);

    private sealed class NoOp(TensorLayout layout, Action? started) : Executor
    {
        private readonly StateDict _difference = new(layout);

        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            started?.Invoke();
            return ValueTask.FromResult(
                Dxo.WeightDiff(_difference).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        }
    }
}
