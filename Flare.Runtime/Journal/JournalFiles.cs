namespace Flare.Runtime;

/// <summary>Which files of a storage are the journal's, by what its log says: people keep others beside them, named
/// alike.</summary>
internal sealed class JournalFiles
{
    private readonly HashSet<string> _held = new(StringComparer.Ordinal);
    private readonly HashSet<string> _stems = new(StringComparer.Ordinal) { JournalCommit.Model };
    private long _last;

    /// <summary>A commit was recorded, be it void later.</summary>
    public void Add(CommittedRound commit)
    {
        _last = commit.Number;
        foreach (var (_, file) in commit.Snapshots)
        {
            _held.Add(file.Name);
            if (JournalSnapshots.TryParse(file.Name, out var stem, out _)) _stems.Add(stem);
        }
    }

    /// <summary>Whether a file is the journal's: a record has held it, or it is of the commit that would have been
    /// next.</summary>
    public bool IsOwn(string file) => _held.Contains(file) || (NumberOfOrphan(file) is { } number && number == _last +
        1);

    /// <summary>
    /// What snapshots without a record say about the log. A server that dies between the two leaves some of the next
    /// number; of a log that lost its end there are later ones, or the files are gone that only a later commit deletes.
    /// </summary>
    /// <param name="files">All files of the storage.</param>
    /// <param name="kept">The last commits that hold, whose files should be there.</param>
    /// <param name="isTorn">Whether the log ended in something that may have been that record.</param>
    /// <returns>A warning; null where all is as it should be.</returns>
    public string? Orphans(IReadOnlyList<string> files, IReadOnlyList<CommittedRound> kept, bool isTorn)
    {
        var orphans = files.Where(f => !_held.Contains(f) && NumberOfOrphan(f) > _last)
            .Order(StringComparer.Ordinal).ToList();
        if (orphans.Count == 0) return null;
        var first = $"'{orphans[0]}'{(orphans.Count > 1 ? $" and {orphans.Count - 1} more" : "")}";
        var before = kept.Count > 1 ? kept[^2].Snapshots.Select(s => s.File.Name).FirstOrDefault(f =>
            !files.Contains(f)) : null;
        if (orphans.Any(f => NumberOfOrphan(f) > _last + 1) || before is not null)
            return $"holds snapshots of commits that its log does not: {first}, where the log ends with commit " +
                $"{_last}. The log has lost its " +
                "end, and with it rounds that were announced. The job goes on after the last one that the log has; " +
                "to have the others back, " +
                "stop it, and restore the log from a backup. If the files are yours, keep them elsewhere.";
        if (isTorn) return null;
        return $"holds snapshots without a record: {first}. A server that died between the two leaves these, and "
            + "nobody was told of their round. If none did, the log has lost its last record: a round that was "
            + "announced is lost. Check the disk.";
    }

    // Of a name that the job's commits have, or the runtime gives: the number; else null.
    private long? NumberOfOrphan(string file) => JournalSnapshots.TryParse(file, out var stem, out var number)
        && (_stems.Contains(stem) || stem.StartsWith("state%2F", StringComparison.Ordinal)) ? number : null;
}
