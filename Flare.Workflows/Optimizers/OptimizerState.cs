namespace Flare.Workflows;

/// <summary>
/// What a server optimizer keeps from round to round: named tensors, durable with the round's commit and there again
/// after a resume. A workflow keeps them in the run's <see cref="RunState.Tensors"/>, under names that begin with
/// <c>optimizer/</c>.
/// </summary>
public sealed class OptimizerState
{
    /// <summary>What all its names in the run's state begin with.</summary>
    internal const string Root = "optimizer/";

    private readonly SortedDictionary<string, StateDict> _tensors = new(StringComparer.Ordinal);

    /// <summary>
    /// A copy of what is kept under a name, for the caller to change and <see cref="Keep"/>; zeros where nothing is
    /// yet.
    /// </summary>
    /// <param name="name">The name, such as <c>momentum</c>.</param>
    /// <param name="layout">Its layout; what was kept in another one is forgotten.</param>
    public StateDict Take(string name, TensorLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return _tensors.TryGetValue(name, out var kept) && kept.Layout.Equals(layout) ? kept.Clone()
            : new StateDict(layout);
    }

    /// <summary>Keeps tensors under a name; they are frozen when the round is committed.</summary>
    public void Keep(string name, StateDict tensors)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(tensors);
        _tensors[name] = tensors;
    }

    // A copy of the run's: an optimizer works off the loop, and the run's state is the loop's.
    internal static OptimizerState Of(RunState state, string prefix)
    {
        var copy = new OptimizerState();
        foreach (var (name, tensors) in state.Tensors)
            if (name.StartsWith(prefix, StringComparison.Ordinal)) copy._tensors[name[prefix.Length..]] = tensors;
        return copy;
    }

    internal void Save(RunState state, string prefix)
    {
        foreach (var (name, tensors) in _tensors) state.Tensors[prefix + name] = tensors;
    }

    internal static void Clear(RunState state, string prefix)
    {
        foreach (var name in state.Tensors.Keys.Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).ToArray())
            state.Tensors.Remove(name);
    }
}
