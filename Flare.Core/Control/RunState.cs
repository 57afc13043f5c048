namespace Flare;

/// <summary>
/// What a workflow keeps from round to round beside the model; made durable with every commit, and there again after a
/// resume.
/// </summary>
public sealed class RunState
{
    /// <summary>A state with nothing in it, as a unit test of a part needs one.</summary>
    public RunState() { }

    internal RunState(RunState source)
    {
        foreach (var (name, tensors) in source.Tensors) Tensors[name] = tensors;
        Values = new FlareMap(source.Values);
    }

    /// <summary>
    /// Named tensors, such as the best model or a server optimizer's momentum. Frozen when the round is committed;
    /// replace, do not change them.
    /// </summary>
    public IDictionary<string, StateDict> Tensors { get; } = new SortedDictionary<string, StateDict>(
        StringComparer.Ordinal);

    /// <summary>
    /// Named values. Maps and lists among them are frozen when the round is committed; replace, do not change them.
    /// </summary>
    public FlareMap Values { get; internal set; } = [];
}
