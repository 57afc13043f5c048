using Flare.Runtime;

namespace Flare.Tests.Core.Journaling;

/// <summary>The machine died.</summary>
internal sealed class CrashException() : Exception("The machine died.");

/// <summary>What a crash leaves of the operation it hits.</summary>
/// <param name="Operation">The index, among the operations that change something.</param>
/// <param name="Kept">Bytes of an append that reached the disk; otherwise odd where the operation took effect.</param>
/// <param name="Garbage">Whether the rest of the append's bytes are there, but were never written.</param>
/// <param name="Undelete">Whether deletions up to then are undone.</param>
internal sealed record Crash(int Operation, int Kept, bool Garbage = false, bool Undelete = false);

/// <summary>A disk in memory that crashes at a chosen operation, and records what was asked of it.</summary>
internal class MemoryStorage : IJournalStorage
{
    private readonly Dictionary<string, byte[]> _deleted = [];
    private bool _dead;

    public Dictionary<string, byte[]> Files { get; init; } = [];

    public Crash? Crash { get; init; }

    /// <summary>Called before each operation that changes something; may throw what a disk throws, or wait.</summary>
    public Func<string, Task>? Before { get; set; }

    /// <summary>The operations that changed something, such as <c>append journal.flare 36</c>.</summary>
    public List<string> Trace { get; } = [];

    /// <summary>The epochs of the servers that opened a journal here.</summary>
    public List<long> Served { get; init; } = [];

    public bool IsDisposed { get; private set; }

    public string Location => "memory";

    /// <summary>The disk after the machine was started again.</summary>
    public MemoryStorage Restarted(Crash? crash = null) =>
        new() { Files = new(Files), Crash = crash, Served = [.. Served] };

    public Task<IReadOnlyList<string>> ListAsync()
    {
        RequireAlive();
        return Task.FromResult<IReadOnlyList<string>>([.. Files.Keys]);
    }

    public Task<T> ReadAsync<T>(string name, Func<Stream, T> read)
    {
        RequireAlive();
        return Task.FromResult(read(new MemoryStream(Files[name], writable: false)));
    }

    public Task AppendAsync(string name, ReadOnlyMemory<byte> bytes) =>
        ChangeAsync($"append {name} {bytes.Length}", kept =>
    {
        var written = bytes.ToArray();
        if (kept is { } most)
        {
            var prefix = Math.Min(most, written.Length);
            if (Crash!.Garbage) written.AsSpan(prefix).Fill(0xaa);
            else written = written[..prefix];
        }
        Files[name] = [.. Files[name], .. written];
    });

    public Task TruncateAsync(string name, long length) => ChangeAsync($"truncate {name}", kept =>
    {
        if (kept is null or > 0) Files[name] = Files[name][..(int)length];
    });

    public async Task<T> ReplaceAsync<T>(string name, Func<Stream, T> write)
    {
        var content = new MemoryStream();
        var result = write(content);
        await ChangeAsync($"replace {name}", kept =>
        {
            if (kept is null or > 0) Files[name] = content.ToArray();
        });
        return result;
    }

    public Task DeleteAsync(string name) => ChangeAsync($"delete {name}", kept =>
    {
        if (kept is 0 || !Files.Remove(name, out var content)) return;
        _deleted[name] = content;
    });

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return default;
    }

    private async Task ChangeAsync(string what, Action<int?> change)
    {
        RequireAlive();
        if (Before is not null) await Before(what);
        var dies = Crash?.Operation == Trace.Count;
        Trace.Add(what);
        change(dies ? Crash!.Kept : null);
        if (!dies) return;
        _dead = true;
        if (Crash!.Undelete)
            foreach (var (name, content) in _deleted) Files.TryAdd(name, content);
        throw new CrashException();
    }

    private void RequireAlive()
    {
        if (_dead) throw new CrashException();
    }
}
