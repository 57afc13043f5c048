namespace Flare.Workflows;

/// <summary>
/// Momentum at the server (FedAvgM: Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution for
/// Federated Visual Classification"): v ← βv + Δ, w ← w + ηv.
/// </summary>
public sealed class ServerMomentum : ServerOptimizer
{
    /// <summary>How much of the last step is kept, β: from 0 to below 1. 0.9 unless set.</summary>
    public double Beta { get; init; } = 0.9;

    /// <summary>The server's learning rate, η: positive. 1 unless set.</summary>
    public double Rate { get; init; } = 1;

    /// <inheritdoc/>
    public override IEnumerable<string> Validate()
    {
        if (Beta is not (>= 0 and < 1))
            yield return Invariant($"{nameof(Beta)} is {Beta:R}; it must be at least 0 and below 1");
        if (!(Rate > 0 && double.IsFinite(Rate)))
            yield return Invariant($"{nameof(Rate)} is {Rate:R}; it must be positive and finite");
    }

    /// <inheritdoc/>
    protected override void TakeStep(StateDict parameters, StateDict delta, OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(state);
        var velocity = state.Take("velocity", parameters.Layout);
        velocity.ScaleInPlace(Beta);
        velocity.AddInPlace(delta);
        parameters.AddScaledInPlace(velocity, Rate);
        state.Keep("velocity", velocity);
    }
}
