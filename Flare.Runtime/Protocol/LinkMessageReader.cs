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
    private FlareException? _malformed;

    /// <summary>Begins with nothing.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="head">The message's head. Its length is believed: the link has compared it with what it
    /// takes.</param>
    public LinkMessageReader(string job, FrameHead head)
    {
        ArgumentNullException.ThrowIfNull(job);
        (_job, _reader) = (job, new MessageReader(head with { Offset = 0 }));
    }

    /// <summary>Bytes of the message that have come and are worth going on from; 0 where they are malformed.</summary>
    public long Received => _malformed is null ? _reader.Received : 0;

    /// <summary>Bytes of the whole message.</summary>
    public long Length => _reader.Head.Length;

    /// <summary>What the message is.</summary>
    public FrameKind Kind => _reader.Head.Kind;

    /// <summary>
    /// Takes the next bytes. Once some are malformed, they and what follows are dropped: the receiver hears of it by
    /// what <see cref="Complete"/> hands over.
    /// </summary>
    /// <param name="bytes">Copied.</param>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (_malformed is not null) return;
        try
        {
            _reader.Append(bytes);
        }
        catch (FlareException e)
        {
            _malformed = e;
        }
    }

    /// <summary>
    /// The message, once all of its bytes have come. Where they are no message, the receiver finds that in it, and
    /// answers for whose it is: a task whose result is malformed ends there.
    /// </summary>
    /// <param name="head">The head that the last of its bytes came under: a part that went on after a break may be
    /// for another assignment of the same content.</param>
    public LinkMessage Complete(FrameHead head)
    {
        if (_malformed is not null) return new(new MalformedMessage(_malformed), head);
        try
        {
            if (Received != Length) throw WireFormat.Malformed($"{Received} bytes, and its head says {Length}");
            _reader.Finish();
            return new(MessageCodec.FromMap(head, _job, _reader.Values), head);
        }
        catch (FlareException e)
        {
            return new(new MalformedMessage(e), head);
        }
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
