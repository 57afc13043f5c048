namespace Flare.Runtime;

/// <summary>
/// Where one job's journal lies: a flat set of named files. <see cref="DirectoryJournalStorage"/> is a folder; the
/// deterministic rig brings a disk that crashes.
/// <para>The contract: when a call has completed, what it did survives a crash of process and machine (deleting
/// excepted). A crash during <see cref="AppendAsync"/> may leave any prefix of the bytes, or bytes in that place that
/// were never written; one during <see cref="ReplaceAsync"/> or <see cref="TruncateAsync"/> leaves the file as it was
/// or as it was to be. A call that threw may have happened or not. Calls come one at a time, from the job's loop, which
/// they do not block: heavy work leaves it. There is no cancellation: what has begun is finished, so that nobody has to
/// guess how far it came.</para>
/// </summary>
public interface IJournalStorage : IAsyncDisposable
{
    /// <summary>Where that is, for error messages; such as a folder's path.</summary>
    string Location { get; }

    /// <summary>The names of all files, in no particular order.</summary>
    /// <exception cref="IOException">The storage failed; so for all members.</exception>
    Task<IReadOnlyList<string>> ListAsync();

    /// <summary>Reads a file.</summary>
    /// <param name="name">The file's name.</param>
    /// <param name="read">Called once, maybe off the loop, with a seekable stream that stands at the file's begin and
    /// is closed afterwards.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    Task<T> ReadAsync<T>(string name, Func<Stream, T> read);

    /// <summary>Appends to a file that exists, durably.</summary>
    /// <param name="name">The file's name.</param>
    /// <param name="bytes">What to append; unchanged until the call completes.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    Task AppendAsync(string name, ReadOnlyMemory<byte> bytes);

    /// <summary>Cuts a file that exists to a length, durably.</summary>
    /// <param name="name">The file's name.</param>
    /// <param name="length">Bytes to keep; at most the file's length.</param>
    Task TruncateAsync(string name, long length);

    /// <summary>Creates a file, or takes the place of an earlier one, atomically and durably.</summary>
    /// <param name="name">The file's name.</param>
    /// <param name="write">Called once, maybe off the loop, with a stream for the content. If it throws, nothing
    /// changes.</param>
    Task<T> ReplaceAsync<T>(string name, Func<Stream, T> write);

    /// <summary>
    /// Removes what crashes left of replacements that never took place, of those files only that the caller says are
    /// its own: others' may lie beside them. Does nothing unless overridden.
    /// </summary>
    /// <param name="isOwn">Whether the file of a name is the journal's.</param>
    Task DiscardUnfinishedAsync(Func<string, bool> isOwn) => Task.CompletedTask;

    /// <summary>Deletes a file, if there is one. A crash may bring it back.</summary>
    /// <param name="name">The file's name.</param>
    Task DeleteAsync(string name);
}
