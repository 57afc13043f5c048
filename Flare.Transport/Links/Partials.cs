using Flare.Runtime;

namespace Flare.Transport;

/// <summary>
/// Beginnings of large messages whose connection broke, for as long as they may be gone on with. Few, and not for long:
/// each holds as much memory as its whole message.
/// </summary>
internal sealed class Partials(TimeProvider time, TimeSpan kept)
{
    /// <summary>Beginnings that are kept of one peer and job.</summary>
    public const int Most = 2;

    private readonly Lock _gate = new();
    private readonly List<(LinkMessageReader Reader, long Since)> _begun = [];

    public void Keep(LinkMessageReader reader)
    {
        lock (_gate)
        {
            Expire();
            if (_begun.Count >= Most) _begun.RemoveAt(0);
            _begun.Add((reader, time.GetTimestamp()));
        }
    }

    /// <summary>What is here, to be told to the other end.</summary>
    public IReadOnlyList<Control.Start> Starts()
    {
        LinkMessageReader[] readers;
        lock (_gate)
        {
            Expire();
            readers = [.. _begun.Select(b => b.Reader)];
        }
        return [.. readers.Select(r => new Control.Start(r.Kind, r.Length, r.Received, r.HashReceived()))];
    }

    /// <summary>The beginning that a message goes on from; it is here no more.</summary>
    public LinkMessageReader? Take(FrameHead head)
    {
        lock (_gate)
        {
            Expire();
            var index = _begun.FindIndex(
                b => b.Reader.Kind == head.Kind && b.Reader.Length == head.Length && b.Reader.Received == head.Offset);
            if (index < 0) return null;
            var reader = _begun[index].Reader;
            _begun.RemoveAt(index);
            return reader;
        }
    }

    public void Clear()
    {
        lock (_gate) _begun.Clear();
    }

    private void Expire() => _begun.RemoveAll(b => time.GetElapsedTime(b.Since) > kept);
}
