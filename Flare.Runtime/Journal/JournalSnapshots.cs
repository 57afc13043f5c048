using System.Buffers;
using System.Globalization;
using System.Text;

namespace Flare.Runtime;

/// <summary>
/// The snapshot files of a journal. Each is written once, under a number that no commit had before, and never changed:
/// a file that a record names is the file that the record meant, or a damaged one.
/// </summary>
internal sealed class JournalSnapshots
{
    private const string Ending = ".safetensors";
    private const int LeastDigits = 6;
    private const int MaxNameLength = 200; // leaves room for number and ending in the 255 bytes that file systems take

    private readonly IJournalStorage _storage;

    // The journal's own, the orphans of crashes among them; and others' of the same form, which are left alone.
    private readonly HashSet<string> _files;
    private readonly HashSet<string> _foreign;

    // The state dicts of the last commit, which the next one may hold again.
    private Dictionary<StateDict, SnapshotFile> _current = new(ReferenceEqualityComparer.Instance);
    private Dictionary<StateDict, SnapshotFile> _pending = [];

    /// <summary>Looks at what lies in the storage.</summary>
    /// <param name="storage">The storage.</param>
    /// <param name="files">The names of its files.</param>
    /// <param name="isOwn">Whether a file of a snapshot's form is the journal's.</param>
    /// <param name="next">The next commit's number: what bears it may be what a crash left, and is written
    /// over.</param>
    public JournalSnapshots(IJournalStorage storage, IEnumerable<string> files, Func<string, bool> isOwn, long next)
    {
        _storage = storage;
        var snapshots = files.Where(IsSnapshot).ToLookup(isOwn);
        _files = [.. snapshots[true]];
        // As some file systems compare.
        _foreign = new(snapshots[false].Where(f => NumberOf(f) != next), StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>Whether a file's name is one of a snapshot.</summary>
    public static bool IsSnapshot(string file) => TryParse(file, out _, out _);

    /// <summary>Takes a snapshot's file name apart: <c>state%2Fcontrol-000012.safetensors</c> is of
    /// <c>state%2Fcontrol</c>, commit 12.</summary>
    public static bool TryParse(string file, out string stem, out long number)
    {
        (stem, number) = ("", 0);
        var dash = file.LastIndexOf('-');
        if (dash <= 0 || !file.EndsWith(Ending, StringComparison.Ordinal)) return false;
        var digits = file.AsSpan(dash + 1, file.Length - Ending.Length - dash - 1);
        stem = file[..dash];
        return digits.Length >= LeastDigits && !digits.ContainsAnyExceptInRange('0', '9')
            && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    /// <summary>The file of a named state dict: <c>state/control</c> of commit 12 lies in
    /// <c>state%2Fcontrol-000012.safetensors</c>.</summary>
    /// <exception cref="ArgumentException">The name is empty or too long.</exception>
    public static string FileName(string name, long number, int digits = LeastDigits)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        // Upper case is escaped too: on some file systems 'A' and 'a' are one file.
        var file = new StringBuilder();
        foreach (var b in Encoding.UTF8.GetBytes(name))
            if (b is >= (byte)'a' and <= (byte)'z' or >= (byte)'0' and <= (byte)'9' or (byte)'_' or (byte)'.'
                or (byte)'-') file.Append((char)b);
            else file.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        if (file.Length > MaxNameLength)
            throw new ArgumentException($"The snapshot's name '{name}' is too long for a file: escaped, it takes " +
                $"{file.Length} bytes of {MaxNameLength}.", nameof(name));
        return file.Append('-').Append(number.ToString($"D{digits}",
            CultureInfo.InvariantCulture)).Append(Ending).ToString();
    }

    /// <summary>Writes a commit's state dicts, those excepted that the last commit held already.</summary>
    /// <returns>The names and their files: the model first, which lends a shared file its name, then the others in
    /// ordinal order.</returns>
    public async Task<List<(string Name, SnapshotFile File)>> WriteAsync(
        long number, IReadOnlyDictionary<string, StateDict> snapshots)
    {
        // Taken down before the first await: the caller's dictionary is the caller's.
        var named = snapshots.OrderBy(s => s.Key != JournalCommit.Model).ThenBy(s => s.Key, StringComparer.Ordinal)
            .Select(s => (Name: s.Key, File: FreeName(s.Key, number), Tensors: s.Value.Freeze())).ToList();
        _pending = new(ReferenceEqualityComparer.Instance);
        var result = new List<(string, SnapshotFile)>();
        foreach (var (name, fileName, tensors) in named)
        {
            if (!_pending.TryGetValue(tensors, out var file) && !_current.TryGetValue(tensors, out file))
            {
                file = await _storage.ReplaceAsync(fileName, stream => Write(stream, fileName, tensors));
                _files.Add(fileName);
            }
            _pending[tensors] = file;
            result.Add((name, file));
        }
        return result;
    }

    /// <summary>Says that the record of the commit just written is durable: its state dicts need not be written
    /// again.</summary>
    public void Committed() => _current = _pending;

    /// <summary>The first file of a commit that is missing or not as it was written; null where all are
    /// sound.</summary>
    public async Task<string?> FindDamagedAsync(CommittedRound commit)
    {
        foreach (var file in commit.Snapshots.Select(s => s.File).Distinct())
            if (!_files.Contains(file.Name) || !await _storage.ReadAsync(file.Name, stream =>
                IsSound(stream, file))) return file.Name;
        return null;
    }

    /// <summary>Loads a commit's state dicts, which have been found sound, and freezes them.</summary>
    public async Task<Dictionary<string, StateDict>> LoadAsync(CommittedRound commit)
    {
        var loaded = new Dictionary<string, StateDict>(StringComparer.Ordinal);
        var byFile = new Dictionary<string, StateDict>(StringComparer.Ordinal);
        foreach (var (name, file) in commit.Snapshots)
        {
            if (!byFile.TryGetValue(file.Name, out var tensors))
                byFile.Add(file.Name, tensors = (await _storage.ReadAsync(file.Name, StateDict.Load)).Freeze());
            loaded.Add(name, tensors);
            _current[tensors] = file;
        }
        return loaded;
    }

    /// <summary>Deletes all snapshots but those named.</summary>
    public async Task DeleteAllButAsync(IEnumerable<SnapshotFile> kept)
    {
        foreach (var file in _files.Except(kept.Select(k => k.Name), StringComparer.Ordinal)
            .Order(StringComparer.Ordinal).ToList())
        {
            try
            {
                await _storage.DeleteAsync(file);
                _files.Remove(file);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Someone reads it just now. It does no harm and is tried again after the next round: no reason to fail
                // this one.
            }
        }
    }

    private static long NumberOf(string file) => TryParse(file, out _, out var number) ? number : 0;

    // Another's file of that name is not written over: one more digit makes another name of the same form.
    private string FreeName(string name, long number)
    {
        for (var digits = LeastDigits; ; digits++)
            if (FileName(name, number, digits) is var file && !_foreign.Contains(file)) return file;
    }

    private static SnapshotFile Write(Stream stream, string name, StateDict tensors)
    {
        using var summing = new ChecksumStream(stream);
        tensors.Save(summing);
        return new(name, summing.Length, summing.Checksum);
    }

    private static bool IsSound(Stream stream, SnapshotFile file)
    {
        if (stream.Length != file.Length) return false;
        var crc = new Crc32C();
        var buffer = ArrayPool<byte>.Shared.Rent(1 << 17);
        for (int read; (read = stream.Read(buffer)) > 0;) crc.Append(buffer.AsSpan(0, read));
        ArrayPool<byte>.Shared.Return(buffer);
        return crc.Value == file.Checksum;
    }
}
