using System.Buffers;

namespace Flare.Runtime;

/// <summary>
/// What makes a job's rounds outlive its server. A commit writes the snapshots, then the record that names them, each
/// durably, and only then completes: whoever hears of a round may rely on it. Opening finds the last committed round
/// again.
/// <para>Belongs to the job's loop: one call at a time. After a failed append the log's end is unknown, so the journal
/// refuses to go on; opening it again cuts what is torn.</para>
/// </summary>
internal sealed class Journal : IAsyncDisposable
{
    /// <summary>The log's file name.</summary>
    public const string LogName = "journal.flare";

    // The last commit's snapshots, and those to fall back to should they turn out damaged.
    private const int KeptCommits = 2;

    private readonly IJournalStorage _storage;
    private readonly JournalSnapshots _snapshots;
    private readonly List<IReadOnlyList<(string Name, SnapshotFile File)>> _kept;
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private JournalPosition _position;
    private long _lastNumber;
    private long _length;
    private long _maxLength;
    private bool _busy;
    private bool _broken;
    private bool _disposed;
    private TaskCompletionSource? _idle;

    private Journal(
        IJournalStorage storage, JournalSnapshots snapshots, JournalHistory history, JournalRecovery? recovered,
        List<string> warnings)
    {
        (_storage, _snapshots, Recovered, Warnings) = (storage, snapshots, recovered, warnings);
        (_position, _lastNumber, Epoch) = (history.Position, history.LastNumber, history.Epoch + 1);
        _kept = [.. history.Commits.TakeLast(KeptCommits).Select(c => c.Snapshots)];
    }

    /// <summary>
    /// Counts the servers that opened the journal, from 1; recorded before anyone is served, so no two servers share
    /// one.
    /// </summary>
    public long Epoch { get; }

    /// <summary>Where the job stands; null where nothing has been committed or completed.</summary>
    public JournalRecovery? Recovered { get; }

    /// <summary>What the opening found and mended, for the operator; empty as a rule.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>Opens a job's journal, or begins one, and records the server's start.</summary>
    /// <param name="storage">Where it lies. The journal takes it over and disposes it, also if it cannot be
    /// opened.</param>
    /// <param name="identity">The job.</param>
    /// <param name="maxLength">The most bytes that the log may have.</param>
    /// <exception cref="FlareException">The journal is another job's, of a newer version, or damaged beyond what a
    /// crash can do.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static async Task<Journal> OpenAsync(
        IJournalStorage storage, JournalIdentity identity, long maxLength = JournalLog.MaxLength)
    {
        try
        {
            return await ReadAsync(storage, identity, maxLength);
        }
        catch
        {
            await storage.DisposeAsync();
            throw;
        }
    }

    /// <summary>Commits a round. When the call completes, no crash can undo it.</summary>
    /// <exception cref="InvalidOperationException">The round is not next, the job is complete, or the journal broke
    /// before.</exception>
    /// <exception cref="FlareException">The storage failed, report or values hold tensors or are above the log's
    /// limits: the round is not committed.</exception>
    public async ValueTask CommitRoundAsync(JournalCommit commit)
    {
        ArgumentNullException.ThrowIfNull(commit);
        using var turn = Enter();
        var after = _position.AfterRound(commit.Workflow, commit.Round);
        commit.Report.Freeze();
        commit.Values.Freeze();
        List<(string, SnapshotFile)> files;
        try
        {
            files = await _snapshots.WriteAsync(_lastNumber + 1, commit.Snapshots);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed("A snapshot could not be written", e);
        }
        var record = new CommittedRound(
            _lastNumber + 1, commit.Workflow, commit.Round, files, commit.Report, commit.Values);
        await AppendAsync(JournalRecordType.RoundCommitted, record.ToMap());
        (_position, _lastNumber) = (after, record.Number);
        _snapshots.Committed();
        _kept.Add(files);
        if (_kept.Count > KeptCommits) _kept.RemoveAt(0);
        await _snapshots.DeleteAllButAsync(_kept.SelectMany(k => k).Select(k => k.File));
    }

    /// <summary>Records that a workflow is done.</summary>
    /// <param name="workflow">Its index.</param>
    /// <exception cref="InvalidOperationException">It is not the current one, the job is complete, or the journal broke
    /// before.</exception>
    /// <exception cref="FlareException">The storage failed.</exception>
    public async ValueTask CompleteWorkflowAsync(int workflow)
    {
        using var turn = Enter();
        var after = _position.AfterWorkflow(workflow);
        await AppendAsync(JournalRecordType.WorkflowCompleted, new() { ["workflow"] = workflow });
        _position = after;
    }

    /// <summary>Records that the job is done.</summary>
    /// <exception cref="InvalidOperationException">It is already, or the journal broke before.</exception>
    /// <exception cref="FlareException">The storage failed.</exception>
    public async ValueTask CompleteJobAsync()
    {
        using var turn = Enter();
        var after = _position.AfterJob();
        await AppendAsync(JournalRecordType.JobCompleted, []);
        _position = after;
    }

    /// <summary>Gives the storage back, once the call on its way has ended. What was committed stays.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed) return;
        _disposed = true;
        if (_busy)
        {
            _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
            await _idle.Task;
        }
        await _storage.DisposeAsync();
    }

    private static async Task<Journal> ReadAsync(IJournalStorage storage, JournalIdentity identity, long maxLength)
    {
        var names = await storage.ListAsync();
        if (!names.Contains(LogName)) await CreateAsync(storage, identity, names);
        var log = await storage.ReadAsync(LogName, stream => ReadLog(stream, storage.Location));
        var history = JournalHistory.Replay(JournalLog.Read(log, storage.Location, out var length), storage.Location);
        List<string> warnings = [];
        RequireSameJob(identity, history.Identity, storage.Location, warnings);

        var isTorn = length < log.Length;
        var kept = history.Commits.TakeLast(KeptCommits).ToList();
        if (history.Files.Orphans(names, kept, isTorn) is { } orphans)
            warnings.Add($"The journal in '{storage.Location}' {orphans}");
        var snapshots = new JournalSnapshots(storage, names, history.Files.IsOwn, history.LastNumber + 1);
        var recovered = await RecoverAsync(history, snapshots, storage.Location, warnings);
        if (recovered is not null && identity.Workflows != history.Identity.Workflows)
            recovered = recovered with { HasOtherWorkflows = true };
        if (length > maxLength / 4 * 3)
            warnings.Add(
                $"The log of the journal in '{storage.Location}' has {Readable.Format(length, "N0")} bytes of the "
                    + $"{Readable.Format(maxLength, "N0")} that it can have, "
                    + $"{Readable.Format(length / Math.Max(1, history.LastNumber), "N0")} a round. When it is full, "
                    + "the next commit fails and ends the job; its model stays, and another job can begin with it.");

        // Nothing is changed before all was found good.
        if (isTorn)
        {
            warnings.Add($"The journal in '{storage.Location}' ended in {log.Length - length} bytes that are no "
                + "whole record, or not as it was written; they were removed. A server that died while it wrote them "
                + "leaves this, and told nobody of what they said. If none did, the disk has damaged the last "
                + "record, and what was announced with it is lost. Check the disk.");
            await storage.TruncateAsync(LogName, length);
        }
        await storage.DiscardUnfinishedAsync(name => name == LogName || history.Files.IsOwn(name));
        var journal = new Journal(storage, snapshots, history, recovered, warnings) { _length = length, _maxLength =
            maxLength };
        await journal.AppendAsync(
            JournalRecordType.ServerStarted,
            new() { ["epoch"] = journal.Epoch, ["after"] = history.Commits.LastOrDefault()?.Number ?? 0 });
        return journal;
    }

    private static async Task CreateAsync(
        IJournalStorage storage, JournalIdentity identity, IReadOnlyList<string> names)
    {
        // No crash leaves snapshots without a log: someone took the log away, and may want it back.
        if (names.FirstOrDefault(JournalSnapshots.IsSnapshot) is { } orphan)
            throw new FlareException(
                ErrorIds.Journal,
                $"'{storage.Location}' holds snapshots, such as '{orphan}', but no {LogName}. Restore that file, or "
                    + "give the job an empty folder.");
        await storage.ReplaceAsync(LogName, stream =>
        {
            var begin = new ArrayBufferWriter<byte>();
            JournalLog.WriteHeader(begin);
            JournalLog.WriteRecord(begin, JournalRecordType.JobStarted, identity.ToMap());
            stream.Write(begin.WrittenSpan);
            return begin.WrittenCount;
        });
    }

    private static byte[] ReadLog(Stream stream, string location)
    {
        JournalLog.RequireLength(stream.Length, location);
        var log = new byte[stream.Length];
        stream.ReadExactly(log);
        return log;
    }

    private static void RequireSameJob(
        JournalIdentity identity, JournalIdentity recorded, string location, List<string> warnings)
    {
        if (identity.DifferenceFrom(recorded) is { } difference)
            throw new FlareException(
                ErrorIds.Journal,
                $"The journal in '{location}' belongs to another job: {difference}. Resume with what it was begun "
                    + "with, or give this job an empty folder.");
        if (identity.Workflows != recorded.Workflows)
            warnings.Add(
                $"The job in '{location}' was begun with other workflows ({recorded.Workflows}). Its rounds go on "
                    + "under those given now; the same seed no longer gives the same bits.");
    }

    // A damaged snapshot that was durable once is the disk's failure, not a crash's; the commit before it still has all
    // its files.
    private static async Task<JournalRecovery?> RecoverAsync(
        JournalHistory history, JournalSnapshots snapshots, string location, List<string> warnings)
    {
        if (!history.HasSteps) return null;
        var loaded = new Dictionary<string, StateDict>();
        var candidates = history.Commits.TakeLast(KeptCommits).Reverse().ToList();
        List<string> damaged = [];
        foreach (var commit in candidates)
        {
            if (await snapshots.FindDamagedAsync(commit) is { } file)
            {
                damaged.Add($"'{file}' of round {commit.Round}");
                continue;
            }
            if (damaged.Count > 0)
            {
                warnings.Add(
                    $"The journal in '{location}' has lost a committed round: the snapshot "
                        + $"{damaged[0]} is missing or damaged. The job goes on after round "
                        + $"{commit.Round} of workflow {commit.Workflow}. Check the disk.");
                history.VoidAfter(commit.Number);
            }
            loaded = await snapshots.LoadAsync(commit);
            break;
        }
        if (damaged.Count == candidates.Count && damaged.Count > 0)
            throw new FlareException(
                ErrorIds.Journal, $"The journal in '{location}' cannot be resumed: of the last commits' snapshots, "
                    + $"{string.Join(" and ", damaged)} are missing or damaged. Restore them from a backup, or start "
                    + $"the job anew with an empty folder.{string.Concat(warnings.Select(w => $" {w}"))}");
        return new()
        {
            Workflow = history.Position.Workflow,
            LastRound = history.Position.LastRound,
            IsCompleted = history.Position.IsCompleted,
            Snapshots = loaded,
            Values = history.Commits.LastOrDefault()?.Values ?? [],
            Reports = [.. history.Commits.Select(c => (c.Workflow, c.Round, c.Report))],
        };
    }

    private async Task AppendAsync(JournalRecordType type, FlareMap payload)
    {
        _buffer.ResetWrittenCount();
        JournalLog.WriteRecord(_buffer, type, payload);
        if (_buffer.WrittenCount > _maxLength - _length)
            throw new FlareException(ErrorIds.Journal, $"The journal in '{_storage.Location}' would grow above " +
                $"{Readable.Format(_maxLength, "N0")} bytes, " +
                "of which reports are the most. Begin another job with this one's model, in an empty folder.");
        // Until the call succeeds nobody knows whether the record is there, and how much of it; only opening again can
        // tell.
        _broken = true;
        try
        {
            await _storage.AppendAsync(LogName, _buffer.WrittenMemory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed("A record could not be appended", e);
        }
        _broken = false;
        _length += _buffer.WrittenCount;
    }

    private FlareException Failed(string what, Exception e) =>
        new(ErrorIds.Journal,
            $"{what} to the journal in '{_storage.Location}': {e.Message} Check the disk and its free space and "
                + "start the job again: it resumes at its last committed round.", e);

    private Turn Enter()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_busy) throw new InvalidOperationException("The journal is at work; await the call before.");
        if (_broken)
            throw new InvalidOperationException("The journal failed to append and takes nothing more; open it again.");
        _busy = true;
        return new(this);
    }

    private readonly struct Turn(Journal journal) : IDisposable
    {
        public void Dispose()
        {
            journal._busy = false;
            journal._idle?.TrySetResult();
        }
    }
}
