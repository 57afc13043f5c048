namespace Flare.Runtime;

/// <summary>What a log's records add up to.</summary>
internal sealed class JournalHistory
{
    // The position behind each step of the job, and the commit, where the step was one.
    private readonly List<(JournalPosition After, CommittedRound? Commit)> _steps = [];

    private JournalHistory(JournalIdentity identity) => Identity = identity;

    /// <summary>The job that the journal belongs to.</summary>
    public JournalIdentity Identity { get; }

    /// <summary>The epoch of the last server; 0 before the first.</summary>
    public long Epoch { get; private set; }

    /// <summary>The highest number of a commit, void ones included.</summary>
    public long LastNumber { get; private set; }

    /// <summary>The files that are the journal's.</summary>
    public JournalFiles Files { get; } = new();

    /// <summary>Where the job stands.</summary>
    public JournalPosition Position => _steps.Count > 0 ? _steps[^1].After : default;

    /// <summary>Whether anything was committed or completed.</summary>
    public bool HasSteps => _steps.Count > 0;

    /// <summary>The commits that hold, oldest first.</summary>
    public IEnumerable<CommittedRound> Commits => _steps.Where(s => s.Commit is not null).Select(s => s.Commit!);

    /// <summary>Adds the records up.</summary>
    /// <exception cref="FlareException">They do not follow from each other; the message names the offset.</exception>
    public static JournalHistory Replay(IReadOnlyList<JournalRecord> records, string location)
    {
        JournalHistory? history = null;
        var offset = (long)JournalLog.HeaderLength;
        try
        {
            foreach (var record in records)
            {
                offset = record.Offset;
                if (history is null) history = Begin(record);
                else history.Apply(record);
            }
        }
        catch (FlareException e)
        {
            throw JournalLog.Damaged(location, offset, "the record there lacks what it should say", e);
        }
        catch (InvalidOperationException e)
        {
            throw JournalLog.Damaged(location, offset, "the record there does not follow from those before", e);
        }
        return history ?? throw JournalLog.Damaged(location, offset, "no job is named");
    }

    /// <summary>Voids a commit and all that came after it.</summary>
    /// <param name="number">The commits above this number.</param>
    public void VoidAfter(long number)
    {
        var first = _steps.FindIndex(s => s.Commit?.Number > number);
        if (first >= 0) _steps.RemoveRange(first, _steps.Count - first);
    }

    private static JournalHistory Begin(JournalRecord record) => record.Type == JournalRecordType.JobStarted
        ? new(JournalIdentity.FromMap(record.Payload))
        : throw new InvalidOperationException("The first record names the job.");

    private void Apply(JournalRecord record)
    {
        switch (record.Type)
        {
            case JournalRecordType.ServerStarted:
                var epoch = record.Payload["epoch"].AsInteger();
                if (epoch != Epoch + 1) throw new InvalidOperationException($"Epoch {epoch} follows epoch {Epoch}.");
                Epoch = epoch;
                VoidAfter(record.Payload["after"].AsInteger());
                break;
            case JournalRecordType.RoundCommitted:
                var commit = CommittedRound.FromMap(record.Payload);
                if (commit.Number != LastNumber + 1)
                    throw new InvalidOperationException($"Commit {commit.Number} follows commit {LastNumber}.");
                _steps.Add((Position.AfterRound(commit.Workflow, commit.Round), commit));
                LastNumber = commit.Number;
                Files.Add(commit);
                break;
            case JournalRecordType.WorkflowCompleted:
                _steps.Add((Position.AfterWorkflow(record.Payload.Int("workflow")), null));
                break;
            case JournalRecordType.JobCompleted:
                _steps.Add((Position.AfterJob(), null));
                break;
            default:
                throw new InvalidOperationException("The job is named a second time.");
        }
    }
}
