namespace Flare.Runtime;

/// <summary>Where a journal is, until a server opens it and takes it over.</summary>
internal sealed class JournalSource
{
    private readonly string? _directory;
    private IJournalStorage? _storage;

    /// <summary>Where it is, in words.</summary>
    public string Place { get; }

    public JournalSource(string directory) => (_directory, Place) = (directory, $"in {directory}");

    public JournalSource(IJournalStorage storage) =>
        (_storage, Place) = (storage, $"in a {storage.GetType().Name}");

    public async Task<IJournalStorage> OpenAsync(ComputeScheduler compute)
    {
        if (_directory is not null) return await DirectoryJournalStorage.OpenAsync(_directory, compute);
        return Interlocked.Exchange(ref _storage, null)
            ?? throw new InvalidOperationException(
                "The journal's storage was taken over before; give each job its own.");
    }

    /// <summary>A storage that no server has taken over: whoever was given it disposes of it. Once.</summary>
    public IEnumerable<object> Unopened() => Interlocked.Exchange(ref _storage, null) is { } storage ? [storage] : [];
}
