namespace Flare.Workflows;

/// <summary>
/// A named set of tensors that goes round beside the model, such as SCAFFOLD's control variates: the server keeps its
/// global value in the run's state, sends it with each round's task, and makes the next one of what sites answer under
/// its name (<see cref="Dxo.WithSet"/>).
/// </summary>
public sealed class TensorSet
{
    /// <summary>Describes a set.</summary>
    /// <param name="name">Its name, also that of its global value in <see cref="RunState.Tensors"/>; not
    /// <see cref="Dxo.ModelSet"/>, and none that begins with <c>optimizer/</c>.</param>
    /// <exception cref="ArgumentException">The name has a meaning of its own.</exception>
    public TensorSet(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name is Dxo.ModelSet or ModelSelection.BestModel)
            throw new ArgumentException($"A set cannot be named '{name}', which has its own meaning.", nameof(name));
        if (name.StartsWith(OptimizerState.Root, StringComparison.Ordinal))
            throw new ArgumentException(
                $"A set cannot be named '{name}': names that begin with '{OptimizerState.Root}' are of what server "
                + "optimizers keep.", nameof(name));
        Name = name;
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>
    /// Makes its new value of what sites answer, and stays its owner's to dispose of. Null for the exact weighted mean,
    /// made for each run. Beside one that refuses contributions as it accepts them no other set can be: what is to be
    /// refused is refused by <see cref="ResultContract.Rule"/>.
    /// </summary>
    public Aggregator? Aggregator { get; init; }

    /// <summary>What the server does with the aggregate; null to take it as it is.</summary>
    public ServerOptimizer? Optimizer { get; init; }

    /// <summary>
    /// Makes its first global value from the model; zeros of the model's floating-point parameters unless set.
    /// </summary>
    public Func<StateDict, StateDict> Initial { get; init; } = static model =>
        new StateDict(new TensorLayout(model.Layout.Where(ServerOptimizer.IsOptimized)));
}
