namespace Flare.Runtime;

/// <summary>What a round leaves behind: all that a server needs to carry on after it.</summary>
internal sealed record JournalCommit
{
    /// <summary>The conventional name of the global model among <see cref="Snapshots"/>.</summary>
    public const string Model = "model";

    /// <summary>The index of the workflow in the job, from 0.</summary>
    public required int Workflow { get; init; }

    /// <summary>The round; above the workflow's last committed one, at least 0.</summary>
    public required int Round { get; init; }

    /// <summary>
    /// Models and states by name, such as <c>model</c>, <c>best</c>, <c>state/control</c>. The commit freezes them. One
    /// that the commit before held too, the same instance, is not written again.
    /// </summary>
    public required IReadOnlyDictionary<string, StateDict> Snapshots { get; init; }

    /// <summary>The round's report; frozen by the commit. No tensors.</summary>
    public FlareMap Report { get; init; } = [];

    /// <summary>The controller's own values; frozen by the commit. No tensors.</summary>
    public FlareMap Values { get; init; } = [];
}
