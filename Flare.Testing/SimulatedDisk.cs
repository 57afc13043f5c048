using System.Diagnostics.CodeAnalysis;
using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// A disk that keeps what a completed call wrote, and does to everything else what <see cref="IJournalStorage"/>
/// allows: a crash tears the append on its way, a replacement is there or not, deleted files come back. Each
/// <see cref="Open"/> gives a storage over the same content.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A storage belongs to the journal that it was opened for.")]
public sealed class SimulatedDisk
{
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;
    private readonly Dictionary<string, byte[]> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, byte[]> _deleted = new(StringComparer.Ordinal);
    private Storage? _storage;

    /// <summary>Creates an empty disk without faults.</summary>
    public SimulatedDisk(SimulationLoop loop)
    {
        ArgumentNullException.ThrowIfNull(loop);
        (_loop, _random) = (loop, loop.Random.Fork());
    }

    /// <summary>How bad it is; may be changed at any time.</summary>
    public DiskFaults Faults { get; set; } = DiskFaults.None;

    /// <summary>Writes that completed.</summary>
    public long Writes { get; private set; }

    /// <summary>Writes that a crash met on their way.</summary>
    public long Torn { get; private set; }

    /// <summary>Calls that failed.</summary>
    public long Failures { get; private set; }

    /// <summary>Told of every write that begins, with the time that it takes.</summary>
    internal Action<TimeSpan> Writing { get; set; } = static _ => { };

    /// <summary>Opens the disk. One storage at a time, as a folder's lock would have it.</summary>
    /// <exception cref="InvalidOperationException">The storage before was neither disposed of nor lost in a
    /// crash.</exception>
    public IJournalStorage Open()
    {
        if (_storage is { IsOpen: true })
            throw new InvalidOperationException(
                "The disk is open: dispose of its storage, or crash it, before it is opened again.");
        return _storage = new Storage(this);
    }

    /// <summary>
    /// The process, or the machine, dies now: calls on their way fail, and what they wrote is there in part.
    /// </summary>
    public void Crash()
    {
        if (_storage is not { IsOpen: true } storage) return;
        storage.IsOpen = false;
        if (storage.OnItsWay is { } write)
        {
            Torn++;
            write(_random.NextDouble());
        }
        foreach (var (name, content) in _deleted)
            if (_random.Chance(0.3)) _files.TryAdd(name, content);
        _deleted.Clear();
        _loop.Trace("disk crashed", "disk", _files.Count, _files.Values.Sum(f => (long)f.Length));
    }

    // What an append leaves that did not complete: a part of it, and sometimes garbage where the rest was to be.
    private void Tear(string name, byte[] bytes, double done)
    {
        var torn = bytes[..(int)((bytes.Length + 1) * done)];
        if (_random.Chance(0.3))
        {
            Array.Resize(ref torn, bytes.Length);
            for (var i = (int)(bytes.Length * done); i < torn.Length; i++) torn[i] = (byte)_random.NextInt32(256);
        }
        _files[name] = [.. _files[name], .. torn];
    }

    private sealed class Storage(SimulatedDisk disk) : IJournalStorage
    {
        // what a delay can be, and still be one
        private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1);

        public bool IsOpen { get; set; } = true;

        /// <summary>The write on its way, to be done in part: all of it at 1.</summary>
        public Action<double>? OnItsWay { get; private set; }

        public string Location => "simulated disk";

        public async Task<IReadOnlyList<string>> ListAsync()
        {
            await WaitAsync();
            return [.. disk._files.Keys];
        }

        public async Task<T> ReadAsync<T>(string name, Func<Stream, T> read)
        {
            await WaitAsync();
            using var stream = new MemoryStream(Content(name), writable: false);
            return read(stream);
        }

        public async Task AppendAsync(string name, ReadOnlyMemory<byte> bytes)
        {
            Content(name);
            var copy = bytes.ToArray();
            await WriteAsync(
                "append", done => disk.Tear(name, copy, done),
                () => disk._files[name] = [.. disk._files[name], .. copy]);
        }

        public async Task TruncateAsync(string name, long length)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Content(name).Length);
            await WriteAsync("truncate", () => disk._files[name] = disk._files[name][..(int)length]);
        }

        public async Task<T> ReplaceAsync<T>(string name, Func<Stream, T> write)
        {
            using var stream = new MemoryStream();
            var result = write(stream);
            await WriteAsync("replace", () => disk._files[name] = stream.ToArray());
            return result;
        }

        public Task DeleteAsync(string name) => WriteAsync("delete", () =>
        {
            if (disk._files.Remove(name, out var content)) disk._deleted[name] = content;
        });

        public ValueTask DisposeAsync()
        {
            IsOpen = false;
            return ValueTask.CompletedTask;
        }

        private Task WriteAsync(string what, Action apply) => WriteAsync(what, done =>
        {
            if (done >= 0.5) apply();
        }, apply);

        private async Task WriteAsync(string what, Action<double> tear, Action apply)
        {
            RequireOpen();
            if (OnItsWay is not null)
                throw new InvalidOperationException("The storage is at work: its contract is one call at a time.");
            OnItsWay = tear;
            var time = Latency();
            disk.Writing(time);
            await Task.Delay(time, disk._loop.Time);
            RequireOpen();
            OnItsWay = null;
            if (disk._random.Chance(disk.Faults.Failure))
            {
                disk.Failures++;
                tear(disk._random.NextDouble());
                disk._loop.Trace("failed to " + what, "disk");
                throw new IOException($"The simulated disk failed to {what}.");
            }
            apply();
            disk.Writes++;
            disk._loop.Trace(what, "disk", disk._files.Count, disk._files.Values.Sum(f => (long)f.Length));
        }

        private async Task WaitAsync()
        {
            RequireOpen();
            await Task.Delay(Latency(), disk._loop.Time);
            RequireOpen();
        }

        private TimeSpan Latency() =>
            disk._random.Between(Shortest, disk.Faults.MaxLatency > Shortest ? disk.Faults.MaxLatency : Shortest);

        private byte[] Content(string name) =>
            disk._files.GetValueOrDefault(name)
            ?? throw new FileNotFoundException($"The simulated disk has no file '{name}'.");

        private void RequireOpen()
        {
            if (!IsOpen) throw new IOException("The simulated disk crashed, or its storage was disposed of.");
        }
    }
}
