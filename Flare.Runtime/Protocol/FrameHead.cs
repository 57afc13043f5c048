using System.Buffers.Binary;

namespace Flare.Runtime;

/// <summary>What a message is. The numbers are part of the wire contract and never change.</summary>
public enum FrameKind : byte
{
    /// <summary>Site: it is there, with what it takes for granted. Said until welcomed or refused.</summary>
    Hello = 1,
    /// <summary>Site: it is alive. Only on links that lose single messages.</summary>
    Heartbeat = 2,
    /// <summary>Site: it has taken a task.</summary>
    TaskReceived = 3,
    /// <summary>Site: it lacks tensors of a task, named by their hash.</summary>
    TensorsWanted = 4,
    /// <summary>Site: tensors have come.</summary>
    TensorsReceived = 5,
    /// <summary>Site: a large result waits for its permit.</summary>
    ResultReady = 6,
    /// <summary>Site: a result, with its tensors. Large ones only with a permit.</summary>
    TaskResult = 7,
    /// <summary>Site: a task does not run any more.</summary>
    TaskStopped = 8,
    /// <summary>Site: a federated event.</summary>
    SiteEvent = 9,
    /// <summary>Site: the server's events up to a number have come.</summary>
    SiteEventReceipt = 10,
    /// <summary>Site: it knows that the job is over.</summary>
    JobEndReceived = 11,
    /// <summary>Site: it works, is paused, has left, or takes no part.</summary>
    Presence = 12,

    /// <summary>Server: a hello is accepted, or asked for.</summary>
    Welcome = 65,
    /// <summary>Server: the site may not join.</summary>
    Refusal = 66,
    /// <summary>Server: a task, without large tensors.</summary>
    TaskOffer = 67,
    /// <summary>Server: tensors that were asked for.</summary>
    TensorsDelivery = 68,
    /// <summary>Server: a large result may be sent.</summary>
    UploadPermit = 69,
    /// <summary>Server: a result has arrived, or is not wanted.</summary>
    ResultReceipt = 70,
    /// <summary>Server: a task is to stop.</summary>
    TaskCancel = 71,
    /// <summary>Server: a federated event.</summary>
    ServerEvent = 72,
    /// <summary>Server: the site's events up to a number have come.</summary>
    ServerEventReceipt = 73,
    /// <summary>Server: the job is over.</summary>
    JobEnd = 74,
}

/// <summary>
/// The head of a message, and of each part of it: whose it is, which assignment it is about, and where its bytes lie.
/// With the site's name, which a link knows from its connection and never takes from a message, it is the envelope.
/// </summary>
/// <param name="Kind">What the message is.</param>
/// <param name="Incarnation">The start of the site that it is from or for: each start has a higher one.</param>
/// <param name="Epoch">The start of the server that it is from or for; 0 from a site that has heard of none.</param>
/// <param name="Round">The assignment's round; 0 where the message is about none.</param>
/// <param name="Number">The assignment's number in its epoch, or an event's in its sequence; else 0.</param>
/// <param name="Offset">Where the part's first byte lies in the message; 0 for a whole one.</param>
/// <param name="Length">Bytes of the whole message.</param>
public readonly record struct FrameHead(
    FrameKind Kind, long Incarnation, int Epoch, int Round, long Number, long Offset, long Length)
{
    /// <summary>Bytes of a written head.</summary>
    public const int Size = 41;

    /// <summary>Whether a message of this kind may be large: links send others first.</summary>
    public bool IsBulk => Kind is FrameKind.TaskResult or FrameKind.TensorsDelivery;

    /// <summary>Whether servers say it, and not sites.</summary>
    public bool IsServers => Kind >= FrameKind.Welcome;

    /// <summary>Writes the head: the kind, then its numbers in order, little-endian.</summary>
    /// <param name="destination">At least <see cref="Size"/> bytes.</param>
    public void Write(Span<byte> destination)
    {
        destination[0] = (byte)Kind;
        BinaryPrimitives.WriteInt64LittleEndian(destination[1..], Incarnation);
        BinaryPrimitives.WriteInt32LittleEndian(destination[9..], Epoch);
        BinaryPrimitives.WriteInt32LittleEndian(destination[13..], Round);
        BinaryPrimitives.WriteInt64LittleEndian(destination[17..], Number);
        BinaryPrimitives.WriteInt64LittleEndian(destination[25..], Offset);
        BinaryPrimitives.WriteInt64LittleEndian(destination[33..], Length);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="source">At least <see cref="Size"/> bytes.</param>
    /// <exception cref="FlareException">The kind is unknown, or a number is out of its range
    /// (<see cref="ErrorIds.MalformedBytes"/>).</exception>
    public static FrameHead Read(ReadOnlySpan<byte> source)
    {
        if (source.Length < Size) throw WireFormat.Malformed($"a head of {source.Length} bytes");
        var head = new FrameHead(
            (FrameKind)source[0],
            BinaryPrimitives.ReadInt64LittleEndian(source[1..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[9..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[13..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[17..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[25..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[33..]));
        if (!Enum.IsDefined(head.Kind)) throw WireFormat.Malformed($"a message of the unknown kind {(int)head.Kind}");
        if (head.Incarnation < 0 || head.Epoch < 0 || head.Round < 0 || head.Number < 0 || head.Offset < 0
            || head.Length < head.Offset) throw WireFormat.Malformed("a head with a number out of its range");
        return head;
    }
}
