namespace Flare.Runtime;

/// <summary>
/// A journal in a folder of its own. Files are flushed to the disk (fsync), new ones are written beside and renamed,
/// and on Unix the folder is flushed too, without which a rename may be lost; Windows' NTFS keeps renames in order by
/// itself. A lock file keeps a second process out; the operating system frees it when the holder dies.
/// <para>As durable as the disk: one that acknowledges a flush before it is done, as some network folders do, can lose
/// what it said it kept.</para>
/// </summary>
public sealed class DirectoryJournalStorage : IJournalStorage
{
    /// <summary>The file that is locked while the folder is in use.</summary>
    public const string LockFileName = "journal.lock";

    private const string TemporaryEnding = ".tmp";

    private readonly ComputeScheduler _scheduler;
    private readonly FileStream _lock;
    private readonly DiskFlush _flush;

    private DirectoryJournalStorage(string path, ComputeScheduler scheduler, DiskFlush flush, FileStream lockFile) =>
        (Location, _scheduler, _flush, _lock) = (path, scheduler, flush, lockFile);

    /// <inheritdoc/>
    public string Location { get; }

    /// <summary>Opens a folder, creating it where there is none, and locks it until disposal.</summary>
    /// <param name="path">The folder's path; it holds one job's journal and nothing else.</param>
    /// <param name="scheduler">Takes the disk's work off the loop; the thread pool if left out.</param>
    /// <exception cref="FlareException">Another process, or another part of this one, has the folder open.</exception>
    /// <exception cref="IOException">The folder cannot be created or written.</exception>
    public static Task<DirectoryJournalStorage> OpenAsync(string path, ComputeScheduler? scheduler = null) =>
        OpenAsync(path, scheduler, DiskFlush.Real);

    internal static Task<DirectoryJournalStorage> OpenAsync(string path, ComputeScheduler? scheduler, DiskFlush flush)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        path = Path.GetFullPath(path);
        scheduler ??= ComputeScheduler.ThreadPool;
        // Nothing is deleted here: nobody has looked yet whether the folder holds a journal, and whose.
        return scheduler.RunAsync(() => new DirectoryJournalStorage(path, scheduler, flush, Lock(path, flush)));
    }

    /// <inheritdoc/>
    public Task DiscardUnfinishedAsync(Func<string, bool> isOwn)
    {
        ArgumentNullException.ThrowIfNull(isOwn);
        return _scheduler.RunAsync(() =>
        {
            foreach (var file in Directory.EnumerateFiles(Location, "*" + TemporaryEnding).Where(IsTemporary))
                if (isOwn(Path.GetFileName(file)[..^TemporaryEnding.Length])) File.Delete(file);
        });
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListAsync() => _scheduler.RunAsync<IReadOnlyList<string>>(() =>
        [.. Directory.EnumerateFiles(Location).Select(f => Path.GetFileName(f))
            .Where(n => n != LockFileName && !IsTemporary(n))]);

    /// <inheritdoc/>
    public Task<T> ReadAsync<T>(string name, Func<Stream, T> read)
    {
        var path = PathOf(name);
        return _scheduler.RunAsync(() =>
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            return read(file);
        });
    }

    /// <inheritdoc/>
    public Task AppendAsync(string name, ReadOnlyMemory<byte> bytes)
    {
        var path = PathOf(name);
        return _scheduler.RunAsync(() =>
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.Read);
            RandomAccess.Write(file, bytes.Span, RandomAccess.GetLength(file));
            _flush.File(file, path);
        });
    }

    /// <inheritdoc/>
    public Task TruncateAsync(string name, long length)
    {
        var path = PathOf(name);
        return _scheduler.RunAsync(() =>
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.Read);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(length, RandomAccess.GetLength(file));
            RandomAccess.SetLength(file, length);
            _flush.File(file, path);
        });
    }

    /// <inheritdoc/>
    public Task<T> ReplaceAsync<T>(string name, Func<Stream, T> write)
    {
        var path = PathOf(name);
        return _scheduler.RunAsync(() =>
        {
            var temporary = path + TemporaryEnding;
            var moved = false;
            try
            {
                T result;
                using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
                {
                    result = write(file);
                    file.Flush();
                    _flush.File(file.SafeFileHandle, temporary);
                }
                File.Move(temporary, path, overwrite: true);
                moved = true;
                _flush.Folder(Location);
                return result;
            }
            finally
            {
                if (!moved) File.Delete(temporary);
            }
        });
    }

    /// <inheritdoc/>
    public Task DeleteAsync(string name)
    {
        var path = PathOf(name);
        return _scheduler.RunAsync(() => File.Delete(path));
    }

    /// <summary>Frees the folder for others.</summary>
    public ValueTask DisposeAsync() => _lock.DisposeAsync();

    private static FileStream Lock(string path, DiskFlush flush)
    {
        // What is in a folder is only as durable as the folder's own entry above it.
        var parents = new Stack<string>();
        for (var missing = path; !Directory.Exists(missing)
            && Path.GetDirectoryName(missing) is { } parent; missing = parent) parents.Push(parent);
        Directory.CreateDirectory(path);
        foreach (var parent in parents) flush.Folder(parent);
        var lockPath = Path.Combine(path, LockFileName);
        try
        {
            // The file stays when the lock goes: deleting it would let two processes lock two files of one name.
            return new FileStream(lockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(lockPath))
        {
            throw new FlareException(
                ErrorIds.Journal,
                $"The folder '{path}' is in use: another process, or another part of this one, has locked it. Stop "
                    + "that one first, or give each a folder of its own.", e);
        }
    }

    private static bool IsTemporary(string file) => file.EndsWith(TemporaryEnding, StringComparison.Ordinal);

    private string PathOf(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name != Path.GetFileName(name) || name is "." or ".." or LockFileName || IsTemporary(name))
            throw new ArgumentException(
                $"'{name}' cannot name a file of a journal: it is a path, or one of the storage's own names.",
                nameof(name));
        return Path.Combine(Location, name);
    }
}
