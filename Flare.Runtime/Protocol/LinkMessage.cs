using System.Buffers;

namespace Flare.Runtime;

/// <summary>
/// A message on its way: a <see cref="Head"/> that links may read, and <see cref="Bytes"/> that they need not
/// understand. A link within one process hands the object over as it is (<see cref="IServerLink.SharesMemory"/>), and
/// then neither is ever made.
/// </summary>
public sealed class LinkMessage
{
    private readonly long _incarnation;
    private readonly int _epoch;
    private FrameHead? _head;
    private ReadOnlySequence<byte> _bytes;

    internal LinkMessage(long incarnation, int epoch, object record) =>
        (_incarnation, _epoch, Record) = (incarnation, epoch, record);

    /// <summary>A message that was read where it arrived.</summary>
    /// <param name="record">What it says; a <see cref="MalformedMessage"/> where it says nothing.</param>
    /// <param name="arrived">The head that it came under.</param>
    internal LinkMessage(object record, FrameHead arrived)
        : this(arrived.Incarnation, arrived.Epoch, record) => Arrived = arrived;

    /// <summary>A message as it arrived over a link: whole, or a part of it.</summary>
    /// <param name="head">Its head; of a part, with the part's offset.</param>
    /// <param name="bytes">The message's bytes from the offset on. They are read before the receiver returns, and not
    /// kept.</param>
    public LinkMessage(FrameHead head, ReadOnlySequence<byte> bytes)
    {
        (_incarnation, _epoch, _head, _bytes) = (head.Incarnation, head.Epoch, head, bytes);
        Arrived = head;
    }

    /// <summary>
    /// The head; of a whole message that was put together where it arrived, the one that it came under.
    /// </summary>
    public FrameHead Head
    {
        get
        {
            if (Record is not null && Arrived is { } arrived) return arrived with { Offset = 0 };
            Encode();
            return _head!.Value;
        }
    }

    /// <summary>
    /// The message's bytes. Tensors in it are the model's own memory, not copies, and stay as they are for as long as
    /// the sequence is held; any thread may read them.
    /// </summary>
    /// <exception cref="InvalidOperationException">The message was put together where it arrived, by a
    /// <see cref="LinkMessageReader"/>: its bytes are in its tensors, and are not made again.</exception>
    public ReadOnlySequence<byte> Bytes
    {
        get
        {
            Encode();
            return _bytes;
        }
    }

    /// <summary>
    /// Of an <see cref="FrameKind.UploadPermit"/> that is to be sent: bytes that the result may have, since its site
    /// has asked for so many. 0 of any other message. A link takes no longer one.
    /// </summary>
    public long PermittedBytes => (Record as UploadPermit)?.Bytes ?? 0;

    /// <summary>
    /// Of a message that is to be sent: whether nobody waits for it. A link may hold it back for some milliseconds, so
    /// that it goes out with what is said next: the result says that its task was received, the next offer comes with
    /// the last receipt.
    /// </summary>
    public bool MayWait =>
        Record is TaskReceived or ResultReceipt { MayWait: true } or SiteEventReceipt or ServerEventReceipt;

    /// <summary>What the message says; null for one that arrived as bytes.</summary>
    internal object? Record { get; }

    /// <summary>The head that the message came under; null for one that never was bytes.</summary>
    internal FrameHead? Arrived { get; }

    internal long Incarnation => _incarnation;
    internal int Epoch => _epoch;

    /// <summary>Makes head and bytes. The runtime does so before a link that needs them has the message.</summary>
    /// <exception cref="FlareException">The message holds what cannot be sent, or is above a limit.</exception>
    internal void Encode()
    {
        if (_head is not null) return;
        if (Arrived is not null) throw new InvalidOperationException("A message that arrived has no bytes to send.");
        var (kind, round, number) = MessageCodec.Address(Record!);
        _bytes = WireFormat.Write(MessageCodec.ToMap(Record!));
        _head = new FrameHead(kind, _incarnation, _epoch, round, number, 0, _bytes.Length);
    }
}

/// <summary>What came in a message's place: the receiver is to hear of it as of one that it read itself.</summary>
internal sealed record MalformedMessage(FlareException Error);
