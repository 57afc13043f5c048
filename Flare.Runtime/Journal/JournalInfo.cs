using Flare.Runtime;

namespace Flare;

/// <summary>
/// What a journal says of its job, read without running it: a host that starts again finds out what is unfinished.
/// Reading changes nothing, takes no lock, and may be done while a server is at work; it then shows the job as of the
/// last durable record.
/// </summary>
public sealed record JournalInfo
{
    /// <summary>The job's id.</summary>
    public required string JobId { get; init; }

    /// <summary>The job's seed.</summary>
    public required ulong Seed { get; init; }

    /// <summary>The names of the workflows that the job was begun with, separated by commas.</summary>
    public required string Workflows { get; init; }

    /// <summary>The workflow that is not complete yet, counted from 0; their number where the job is
    /// complete.</summary>
    public required int CurrentWorkflow { get; init; }

    /// <summary>The last committed round of the current workflow; 0 before its first.</summary>
    public required int LastCommittedRound { get; init; }

    /// <summary>Whether the job is done: started again it trains nothing, and tells its rounds.</summary>
    public required bool IsComplete { get; init; }

    /// <summary>How many servers have opened the journal.</summary>
    public required long ServerStarts { get; init; }

    /// <summary>The reports of all committed rounds, of all workflows, in order; without their models.</summary>
    public required IReadOnlyList<RoundReport> Rounds { get; init; }

    /// <summary>The report of the last committed round; null before the first.</summary>
    public RoundReport? LastReport => Rounds.Count > 0 ? Rounds[^1] : null;

    /// <summary>The name of the safetensors file of the last committed model, in the journal's folder; null before the
    /// first round.</summary>
    public required string? ModelFile { get; init; }

    /// <summary>
    /// Bytes behind the last sound record, which the next server cuts off: a record that is being written just now,
    /// that a crash cut short, or that the disk has damaged.
    /// </summary>
    public required long TornBytes { get; init; }

    /// <summary>Looks into the journal of a folder.</summary>
    /// <param name="directory">The folder's path.</param>
    /// <param name="abort">Cancels the reading.</param>
    /// <returns>What it says; null where the folder holds no journal, or is not there.</returns>
    /// <exception cref="FlareException">The journal is damaged, or of a newer version.</exception>
    /// <exception cref="IOException">The log cannot be read.</exception>
    public static async Task<JournalInfo?> ReadAsync(string directory, CancellationToken abort = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        var path = Path.Combine(directory, Journal.LogName);
        if (!File.Exists(path)) return null;
        // A server that appends meanwhile is not disturbed, and its half-written record is left out.
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read,
            FileShare.ReadWrite | FileShare.Delete);
        JournalLog.RequireLength(file.Length, directory);
        var log = new byte[file.Length];
        await file.ReadExactlyAsync(log, abort);
        return Of(log, directory);
    }

    private static JournalInfo Of(byte[] log, string location)
    {
        var history = JournalHistory.Replay(JournalLog.Read(log, location, out var length), location);
        var commits = history.Commits.ToList();
        return new()
        {
            JobId = history.Identity.JobId,
            Seed = unchecked((ulong)history.Identity.Seed),
            Workflows = history.Identity.Workflows,
            CurrentWorkflow = history.Position.Workflow,
            LastCommittedRound = history.Position.LastRound ?? 0,
            IsComplete = history.Position.IsCompleted,
            ServerStarts = history.Epoch,
            Rounds = [.. commits.Select(c => RoundReport.FromMap(c.Report))],
            ModelFile = commits.LastOrDefault()?.Snapshots.FirstOrDefault(s =>
                s.Name == JournalCommit.Model).File?.Name,
            TornBytes = log.Length - length,
        };
    }
}
