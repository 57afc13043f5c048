namespace Flare.Runtime;

/// <summary>Messages of one peer, put together from what its link delivers.</summary>
/// <param name="job">The job's id.</param>
/// <param name="fromServer">Whether the peer is the server.</param>
internal sealed class MessageInbox(string job, bool fromServer)
{
    /// <summary>
    /// A message of another than bulk may be this long, for anybody: values and layouts within their limits.
    /// </summary>
    public const long MostSmall = 32 << 20;

    // More than a peer has a use for; a hostile one begins many and ends none.
    private const int MostAtOnce = 16;

    private readonly Dictionary<(FrameKind, int, long), MessageReader> _begun = [];

    /// <summary>The message, where it is whole now; null where parts are missing.</summary>
    /// <exception cref="FlareException">It is malformed.</exception>
    public object? Receive(LinkMessage message)
    {
        if (message.Record is { } record) return record;
        var head = message.Head;
        if (head.IsServers != fromServer) throw WireFormat.Malformed($"a message of kind {head.Kind} from this peer");
        var key = (head.Kind, head.Epoch, head.Number);
        if (head.Offset == 0)
        {
            if (_begun.Count >= MostAtOnce) _begun.Clear();
            _begun[key] = new MessageReader(head);
        }
        // A part whose forerunner is missing: it is said again from its beginning.
        if (!_begun.TryGetValue(key, out var reader) || reader.Received != head.Offset
            || reader.Head.Length != head.Length || reader.Head.Incarnation != head.Incarnation) return null;
        try
        {
            reader.Append(message.Bytes);
        }
        catch (FlareException)
        {
            _begun.Remove(key);
            throw;
        }
        if (!reader.IsComplete) return null;
        _begun.Remove(key);
        return MessageCodec.FromMap(head, job, reader.Values);
    }

    /// <summary>What has begun will not be ended.</summary>
    public void Clear() => _begun.Clear();
}
