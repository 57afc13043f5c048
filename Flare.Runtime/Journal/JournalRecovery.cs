namespace Flare.Runtime;

/// <summary>Where a job stands whose server died: what its journal holds.</summary>
internal sealed record JournalRecovery
{
    /// <summary>The workflow to carry on with: the first that is not complete.</summary>
    public required int Workflow { get; init; }

    /// <summary>The last committed round of that workflow; null where it has none yet.</summary>
    public required int? LastRound { get; init; }

    /// <summary>Whether the job was begun with workflows of other names than this start's.</summary>
    public bool HasOtherWorkflows { get; init; }

    /// <summary>Whether the job is done; nothing can be committed then.</summary>
    public required bool IsCompleted { get; init; }

    /// <summary>
    /// The named state dicts of the job's last commit, of whichever workflow, frozen; names of one file share an
    /// instance.
    /// </summary>
    public required IReadOnlyDictionary<string, StateDict> Snapshots { get; init; }

    /// <summary>The values of the job's last commit, of whichever workflow.</summary>
    public required FlareMap Values { get; init; }

    /// <summary>The reports of all committed rounds, in order.</summary>
    public required IReadOnlyList<(int Workflow, int Round, FlareMap Report)> Reports { get; init; }

    /// <summary>The global model of the last commit; null where none was committed.</summary>
    public StateDict? Model => Snapshots.GetValueOrDefault(JournalCommit.Model);
}
