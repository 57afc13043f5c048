using System.Collections.ObjectModel;

namespace Flare;

/// <summary>
/// What a workflow keeps from round to round beside the model; made durable with every commit, and there again after a
/// resume.
/// <para>What a round has committed (<see cref="RoundReport.State"/>, <c>Federation.State</c>) is a copy that nobody
/// changes any more: writing to it throws.</para>
/// </summary>
public sealed class RunState
{
    /// <summary>A state with nothing in it, as a unit test of a part needs one.</summary>
    public RunState() => Tensors = new SortedDictionary<string, StateDict>(StringComparer.Ordinal);

    /// <summary>The state as it is now, for good: its tensors, values and the names of both are frozen.</summary>
    internal RunState(RunState source)
    {
        foreach (var tensors in source.Tensors.Values) tensors.Freeze();
        Tensors = new ReadOnlyDictionary<string, StateDict>(
            new SortedDictionary<string, StateDict>(source.Tensors, StringComparer.Ordinal));
        Values = new FlareMap(source.Values);
        Values.Freeze();
    }

    /// <summary>
    /// Named tensors, such as the best model or a server optimizer's momentum. Frozen when the round is committed;
    /// replace, do not change them.
    /// </summary>
    public IDictionary<string, StateDict> Tensors { get; }

    /// <summary>
    /// Named values. Maps and lists among them are frozen when the round is committed; replace, do not change them.
    /// </summary>
    public FlareMap Values { get; internal set; } = [];
}
