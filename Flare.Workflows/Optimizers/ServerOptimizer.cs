namespace Flare.Workflows;

/// <summary>
/// What the server does with a round's aggregate (Reddi et al. 2021, "Adaptive Federated Optimization"): the difference
/// between aggregate and model is taken for a gradient, and a step is made along it. Derive from it and override
/// <see cref="TakeStep"/>; an instance keeps nothing itself, but in its <see cref="OptimizerState"/>.
/// <para>Only parameters are optimised. Buffers, such as the running statistics of batch normalisation, integers and
/// Booleans are the aggregate's: a step along a mean of variances may well end at a negative one.</para>
/// </summary>
public abstract class ServerOptimizer
{
    /// <summary>
    /// Makes the new model. It reads and writes whole models: off the loop, through the compute scheduler.
    /// </summary>
    /// <param name="model">The model that the round began with; it is not changed.</param>
    /// <param name="aggregate">The round's aggregate, as weights of the model's layout. This call takes it
    /// over.</param>
    /// <param name="state">What the optimizer keeps.</param>
    /// <returns>The new model, the caller's.</returns>
    /// <exception cref="ArgumentException">The layouts differ.</exception>
    /// <exception cref="InvalidOperationException"><see cref="Validate"/> finds fault with the settings.</exception>
    public StateDict Apply(StateDict model, StateDict aggregate, OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(aggregate);
        ArgumentNullException.ThrowIfNull(state);
        if (string.Join("; ", Validate()) is { Length: > 0 } wrong)
            throw new InvalidOperationException($"The {GetType().Name} cannot be used: {wrong}.");
        using var delta = aggregate.Select(IsOptimized);
        using var parameters = model.Select(IsOptimized);
        delta.SubtractInPlace(parameters);
        TakeStep(parameters, delta, state);
        var result = aggregate.IsReadOnly ? aggregate.Clone() : aggregate;
        result.Replace(parameters);
        return result;
    }

    /// <summary>What is wrong with its settings; nothing where all is well. Asked when the federation is
    /// built.</summary>
    public virtual IEnumerable<string> Validate() => [];

    /// <summary>Makes one step.</summary>
    /// <param name="parameters">The model's parameters; to be changed in place.</param>
    /// <param name="delta">The aggregate's parameters less the model's: the gradient, with its sign turned. It may be
    /// changed.</param>
    /// <param name="state">What is kept from round to round.</param>
    protected abstract void TakeStep(StateDict parameters, StateDict delta, OptimizerState state);

    /// <summary>
    /// Whether a tensor is optimised: a floating-point parameter, which does not bear the name of one of batch
    /// normalisation's buffers either, for models from files that know no roles.
    /// </summary>
    public static bool IsOptimized(TensorSpec tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return tensor.Role == TensorRole.Parameter && tensor.DType.IsFloatingPoint() && !IsStatistic(tensor.Name);
    }

    private static bool IsStatistic(string name) =>
        name[(name.LastIndexOf('.') + 1)..] is "running_mean" or "running_var" or "num_batches_tracked";
}
