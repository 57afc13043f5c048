using System.Buffers;

namespace Flare.Transport;

/// <summary>
/// What stands behind a connection. It is called by one thread at a time, in the order in which things arrive, and
/// must not wait: while it works, the connection reads nothing. A <see cref="FlareException"/> that it throws at a
/// stream ends that stream; at a message it ends the connection, as the other end's fault, who is told; any other
/// exception ends it as this end's.
/// </summary>
public interface IFrameReceiver
{
    /// <summary>A message has arrived.</summary>
    /// <param name="channel">The channel that it is for.</param>
    /// <param name="message">Its bytes; good until the call returns.</param>
    void OnMessage(uint channel, in ReadOnlySequence<byte> message);

    /// <summary>A stream begins.</summary>
    /// <param name="offer">What it is.</param>
    /// <returns>Where its bytes go, or why they are not wanted.</returns>
    StreamAnswer OnStream(in StreamOffer offer);
}

/// <summary>A stream that the other end has begun.</summary>
/// <param name="channel">The channel that it is for.</param>
/// <param name="head">What it is; good until the call returns.</param>
/// <param name="length">Bytes of the whole content, those before <paramref name="offset"/> included; not yet
/// believed: whoever allocates checks it first.</param>
/// <param name="offset">The first byte that comes.</param>
public readonly ref struct StreamOffer(uint channel, ReadOnlySequence<byte> head, long length, long offset)
{
    /// <summary>The channel that it is for.</summary>
    public uint Channel { get; } = channel;

    /// <summary>What it is; good until the call returns.</summary>
    public ReadOnlySequence<byte> Head { get; } = head;

    /// <summary>Bytes of the whole content.</summary>
    public long Length { get; } = length;

    /// <summary>The first byte that comes.</summary>
    public long Offset { get; } = offset;
}

/// <summary>What becomes of a stream that begins.</summary>
public readonly struct StreamAnswer
{
    private StreamAnswer(IStreamSink? sink, string? refusal) => (Sink, Refusal) = (sink, refusal);

    /// <summary>Where its bytes go; null where it is refused.</summary>
    public IStreamSink? Sink { get; }

    /// <summary>Why it is refused.</summary>
    public string? Refusal { get; }

    /// <summary>Takes the stream.</summary>
    public static StreamAnswer Accept(IStreamSink sink) =>
        new(sink ?? throw new ArgumentNullException(nameof(sink)), null);

    /// <summary>Refuses the stream.</summary>
    /// <param name="reason">Why; the other end is told.</param>
    public static StreamAnswer Refuse(string reason) => new(null, reason);
}

/// <summary>Where the bytes of a stream go: straight to where they are wanted, without a buffer between.</summary>
public interface IStreamSink
{
    /// <summary>The next bytes; never more in all than the stream was said to have.</summary>
    /// <param name="bytes">Good until the call returns.</param>
    void Write(ReadOnlySpan<byte> bytes);

    /// <summary>All bytes are there. The last call, also where it throws.</summary>
    void Complete();

    /// <summary>No more bytes come. The last call.</summary>
    /// <param name="reason">Why.</param>
    void Abort(string reason);
}
