using Flare.Runtime;

namespace Flare.Transport;

/// <summary>
/// Beginnings of large messages of one job whose connection broke, for as long as they may be gone on with. Few, and
/// not for long: each holds as much memory as its whole message.
/// </summary>
internal sealed class Partials : IDisposable
{
    /// <summary>Beginnings that are kept of one peer.</summary>
    public const int MostOfPeer = 2;

    // Of all peers together: about as many as may upload at once.
    private const int Most = 16;

    private readonly TimeProvider _time;
    private readonly TimeSpan _kept;
    private readonly Lock _gate = new();
    private readonly List<Entry> _begun = [];
    private readonly ITimer _timer;
    private bool _isOver;

    public Partials(TimeProvider time, TimeSpan kept)
    {
        (_time, _kept) = (time, kept);
        _timer = time.CreateTimer(
            static p => ((Partials)p!).Expire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How many there are.</summary>
    public int Count
    {
        get { lock (_gate) return _begun.Count; }
    }

    /// <summary>Whether anything is here of a peer.</summary>
    public bool HasAny(string peer)
    {
        lock (_gate) return _begun.Exists(b => b.Peer == peer);
    }

    public void Keep(string peer, LinkMessageReader reader)
    {
        lock (_gate)
        {
            if (_isOver) return; // a stream may outlive its job by a little
            if (_begun.Count(b => b.Peer == peer) >= MostOfPeer) _begun.Remove(_begun.First(b => b.Peer == peer));
            if (_begun.Count >= Most) _begun.RemoveAt(0);
            _begun.Add(new(peer, reader, _time.GetTimestamp()));
            if (_begun.Count == 1) _timer.Change(_kept, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>
    /// What is here of a peer, to be told to it. Hashes all of it: not for a thread that others wait for.
    /// </summary>
    public IReadOnlyList<Control.Start> StartsOf(string peer)
    {
        Entry[] entries;
        lock (_gate) entries = [.. _begun.Where(b => b.Peer == peer)];
        return [.. entries.Select(e => e.Start)];
    }

    /// <summary>The beginning that a message goes on from; it is here no more.</summary>
    public LinkMessageReader? Take(string peer, FrameHead head, ReadOnlySpan<byte> sha256)
    {
        lock (_gate)
        {
            foreach (var entry in _begun)
            {
                var reader = entry.Reader;
                if (entry.Peer != peer || reader.Kind != head.Kind || reader.Length != head.Length
                    || reader.Received != head.Offset || !sha256.SequenceEqual(entry.Start.Sha256)) continue;
                _begun.Remove(entry);
                return reader;
            }
            return null;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            _begun.Clear();
        }
        _timer.Dispose();
    }

    private void Expire()
    {
        lock (_gate)
        {
            _begun.RemoveAll(b => _time.GetElapsedTime(b.Since) >= _kept);
            if (_begun.Count == 0) return;
            var left = _kept - _time.GetElapsedTime(_begun[0].Since);
            _timer.Change(left > TimeSpan.Zero ? left : TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
        }
    }

    private sealed class Entry(string peer, LinkMessageReader reader, long since)
    {
        private readonly Lazy<Control.Start> _start =
            new(() => new(reader.Kind, reader.Length, reader.Received, reader.HashReceived()));

        public string Peer => peer;
        public LinkMessageReader Reader => reader;
        public long Since => since;
        public Control.Start Start => _start.Value;
    }
}
