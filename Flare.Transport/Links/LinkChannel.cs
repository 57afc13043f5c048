using System.Buffers;
using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// One job's messages over one connection: small ones as messages, large ones as streams that fill tensors where they
/// arrive. Both ends have one; it dies with its connection.
/// </summary>
internal sealed class LinkChannel(
    FrameConnection connection, uint id, string job, LinkChannel.Owner owner, Partials partials, ILogger logger)
    : IDisposable
{
    // Below this a beginning is not worth keeping.
    private const long LeastKept = 256 * 1024;

    private readonly Lock _gate = new();
    private readonly List<Control.Start> _atPeer = [];
    private readonly SemaphoreSlim _streams = new(connection.MaxStreams);
    private readonly CancellationTokenSource _end = new();

    /// <summary>What stands behind a channel.</summary>
    internal abstract class Owner
    {
        /// <summary>Whether what arrives is a server's.</summary>
        public abstract bool HearsServer { get; }

        /// <summary>Why a large message is not taken, before anything is made for it; null where it is.</summary>
        public abstract string? RefusalOf(FrameHead head);

        /// <summary>A message has arrived over a channel.</summary>
        public abstract void Deliver(LinkChannel from, LinkMessage message);
    }

    public FrameConnection Connection => connection;

    public uint Id => id;

    /// <summary>Tells the other end which beginnings are here.</summary>
    public void TellPartials()
    {
        foreach (var start in partials.Starts()) connection.Send(Control.Channel, Control.SayPartial(id, start));
    }

    /// <summary>The other end has a beginning.</summary>
    public void OnPartial(Control.Start start)
    {
        lock (_gate)
        {
            if (_atPeer.Count < Partials.Most) _atPeer.Add(start);
        }
    }

    /// <summary>The channel is over: what is on its way is broken off, and who waits for a turn gives up.</summary>
    public void Dispose() => _end.Cancel();

    // Within a session the runtime says nothing twice: there are no repetitions to drop.
    public void Send(LinkMessage message)
    {
        var head = message.Head;
        var bytes = message.Bytes;
        var length = FrameHead.Size + bytes.Length;
        if (length > connection.MaxMessageBytes)
        {
            _ = SendLargeAsync(head, bytes);
            return;
        }
        var rented = ArrayPool<byte>.Shared.Rent((int)length);
        try
        {
            head.Write(rented);
            bytes.CopyTo(rented.AsSpan(FrameHead.Size));
            connection.Send(id, rented.AsSpan(0, (int)length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private async Task SendLargeAsync(FrameHead head, ReadOnlySequence<byte> bytes)
    {
        try
        {
            await _streams.WaitAsync(_end.Token);
            try
            {
                var offset = await Task.Run(() => OffsetAtPeer(head, bytes));
                var start = new byte[FrameHead.Size];
                (head with { Offset = offset }).Write(start);
                await connection.SendStreamAsync(id, start, bytes, offset, cancellationToken: _end.Token);
            }
            finally
            {
                _streams.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // The channel is over; what counts is said again on the next.
        }
        catch (FrameException e)
        {
            if (!e.IsTransient) Log.LargeRefused(logger, head.Kind.ToString(), job, e.Message);
        }
    }

    // Where the other end has the beginning of the very same bytes, the rest is enough.
    private long OffsetAtPeer(FrameHead head, in ReadOnlySequence<byte> bytes)
    {
        Control.Start? best = null;
        lock (_gate)
        {
            foreach (var start in _atPeer)
                if (start.Kind == head.Kind && start.Length == bytes.Length && start.Received > (best?.Received ?? 0))
                    best = start;
            if (best is null) return 0;
            _atPeer.Remove(best);
        }
        return LinkMessageReader.HashStart(bytes, best.Received).AsSpan().SequenceEqual(best.Sha256)
            ? best.Received : 0;
    }

    public void OnMessage(in ReadOnlySequence<byte> message)
    {
        var head = HeadOf(message);
        if (head.Offset != 0 || head.Length != message.Length - FrameHead.Size)
            throw new FlareException(ErrorIds.MalformedBytes, "A message is not as long as its head says.");
        owner.Deliver(this, new(head, new(message.Slice(FrameHead.Size).ToArray())));
    }

    public StreamAnswer OnStream(in StreamOffer offer)
    {
        var head = HeadOf(offer.Head);
        if (head.Length != offer.Length || head.Offset != offer.Offset)
            throw new FlareException(ErrorIds.MalformedBytes, "A stream is not as long as its head says.");
        if (owner.RefusalOf(head) is { } refusal) return StreamAnswer.Refuse(refusal);
        if (head.Offset == 0)
            return StreamAnswer.Accept(new Sink(this, head, new(job, head)));
        return partials.Take(head) is { } begun
            ? StreamAnswer.Accept(new Sink(this, head, begun))
            : StreamAnswer.Refuse("its beginning is not here any more");
    }

    private FrameHead HeadOf(in ReadOnlySequence<byte> bytes)
    {
        Span<byte> start = stackalloc byte[FrameHead.Size];
        if (bytes.Length < start.Length)
            throw new FlareException(ErrorIds.MalformedBytes, "A message is shorter than a head.");
        bytes.Slice(0, start.Length).CopyTo(start);
        var head = FrameHead.Read(start);
        if (head.IsServers != owner.HearsServer)
            throw new FlareException(ErrorIds.MalformedBytes, $"A message of kind {head.Kind} from this end.");
        return head;
    }

    private sealed class Sink(LinkChannel channel, FrameHead head, LinkMessageReader reader) : IStreamSink
    {
        public void Write(ReadOnlySpan<byte> bytes) => reader.Append(bytes);

        public void Complete() => channel.OnComplete(reader, head);

        public void Abort(string reason)
        {
            if (reader.Received >= LeastKept && reader.Received < reader.Length) channel.Keep(reader);
        }
    }

    private void OnComplete(LinkMessageReader reader, FrameHead head) => owner.Deliver(this, reader.Complete(head));

    private void Keep(LinkMessageReader reader) => partials.Keep(reader);
}
