using System.Buffers;
using System.Security.Cryptography;

namespace Flare.Runtime;

/// <summary>
/// Puts a large message together where its bytes arrive, off the job's loop: tensors are filled as the bytes come,
/// without a copy between. A link makes one for each stream, and hands over what comes of it. Not for several threads
/// at once.
/// </summary>
public sealed class LinkMessageReader
{
    private readonly string _job;
    private readonly MessageReader _reader;

    /// <summary>Begins with nothing.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="head">The message's head. Its length is believed: the link has compared it with what it
    /// takes.</param>
    public LinkMessageReader(string job, FrameHead head)
    {
        ArgumentNullException.ThrowIfNull(job);
        (_job, _reader) = (job, new MessageReader(head with { Offset = 0 }));
    }

    /// <summary>Bytes of the message that have come.</summary>
    public long Received => _reader.Received;

    /// <summary>Bytes of the whole message.</summary>
    public long Length => _reader.Head.Length;

    /// <summary>What the message is.</summary>
    public FrameKind Kind => _reader.Head.Kind;

    /// <summary>Takes the next bytes.</summary>
    /// <param name="bytes">Copied.</param>
    /// <exception cref="FlareException">They are malformed (<see cref="ErrorIds.MalformedBytes"/>).</exception>
    public void Append(ReadOnlySpan<byte> bytes) => _reader.Append(bytes);

    /// <summary>The message, once all of its bytes have come.</summary>
    /// <param name="head">The head that the last of its bytes came under: a part that went on after a break may be
    /// for another assignment of the same content.</param>
    /// <exception cref="FlareException">It is malformed.</exception>
    public LinkMessage Complete(FrameHead head)
    {
        _reader.Finish();
        return new(head.Incarnation, head.Epoch, MessageCodec.FromMap(head, _job, _reader.Values));
    }

    /// <summary>The hash of what has come so far, by which the sender knows that it may go on from there.</summary>
    public byte[] HashReceived()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        _reader.Feed(hash);
        return hash.GetHashAndReset();
    }

    /// <summary>The same hash of the first bytes of a message that is to be sent.</summary>
    /// <param name="bytes">The whole message.</param>
    /// <param name="count">How many of its bytes; at most its length.</param>
    public static byte[] HashStart(in ReadOnlySequence<byte> bytes, long count)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var part in bytes.Slice(0, count)) hash.AppendData(part.Span);
        return hash.GetHashAndReset();
    }
}
