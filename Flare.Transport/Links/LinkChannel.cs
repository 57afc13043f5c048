using System.Buffers;
using Flare.Runtime;

namespace Flare.Transport;

/// <summary>
/// One job's messages over one connection. Models and results, which may be large, are streams that fill tensors where
/// they arrive, and other messages pass them. All other messages keep their order, however long one of them is. Both
/// ends have one; it dies with its connection.
/// </summary>
internal sealed class LinkChannel(
    FrameConnection connection, uint id, string job, string peer, LinkChannel.Owner owner, Partials partials,
    StreamTurns streams, LinkHost host) : IDisposable
{
    private const int HashBytes = 32;
    private const long MostInOrder = 64 << 20;

    // Some gigabytes are hashed in it.
    private static readonly TimeSpan LongestTelling = TimeSpan.FromSeconds(10);


    private readonly Lock _gate = new();
    private readonly List<Control.Start> _atPeer = [];
    private readonly Queue<(FrameHead Head, ReadOnlySequence<byte> Bytes)> _inOrder = new();
    private readonly CancellationTokenSource _end = new();
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _inOrderBytes;
    private bool _isPumping;
    private bool _hearsLong;

    /// <summary>What stands behind a channel.</summary>
    internal abstract class Owner
    {
        /// <summary>The refusal of a second stream of one message: the first one counts.</summary>
        public const string OnItsWay = "it was not asked for again, and may be on its way already";

        /// <summary>Whether what arrives is a server's.</summary>
        public abstract bool HearsServer { get; }

        /// <summary>
        /// Why a message is not taken as a stream, before anything is made for it; null where it is, once for each time
        /// that it was asked for.
        /// </summary>
        public abstract string? RefusalOf(FrameHead head);

        /// <summary>A message has arrived over a channel.</summary>
        public abstract void Deliver(LinkChannel from, LinkMessage message);
    }

    public FrameConnection Connection => connection;

    public uint Id => id;

    /// <summary>
    /// Tells the other end which beginnings are here, before anything else is said on the channel; where there are any,
    /// elsewhere, since it hashes them.
    /// </summary>
    public void TellPartials()
    {
        if (partials.HasAny(peer)) _ = host.Compute.RunAsync(TellThem);
        else TellThem();

        void TellThem()
        {
            foreach (var start in partials.StartsOf(peer))
                connection.Send(Control.Channel, Control.SayPartial(id, start));
            connection.Send(Control.Channel, Control.SayTold(id));
        }
    }

    /// <summary>The other end has told of all its beginnings.</summary>
    public void OnTold() => _told.TrySetResult();

    /// <summary>The other end has a beginning.</summary>
    public void OnPartial(Control.Start start)
    {
        lock (_gate)
        {
            if (_atPeer.Count < Partials.MostOfPeer) _atPeer.Add(start);
        }
    }

    /// <summary>The channel is over: what is on its way is broken off, and who waits for a turn gives up.</summary>
    public void Dispose()
    {
        _end.Cancel();
        _told.TrySetResult();
    }

    // Within a session the runtime says nothing twice: there are no repetitions to drop. Only the job's loop says
    // anything, so the lock need not be held while the connection writes.
    public void Send(LinkMessage message)
    {
        var head = message.Head;
        var bytes = message.Bytes;
        var isShort = FrameHead.Size + bytes.Length <= connection.MaxMessageBytes;
        if (head.IsBulk)
        {
            if (isShort) SendShort(head, bytes, message.MayWait);
            else _ = SendBulkAsync(head, bytes);
            return;
        }
        bool tooMany = false, pump = false, direct;
        lock (_gate)
        {
            direct = !_isPumping && isShort;
            if (!direct)
            {
                _inOrder.Enqueue((head, bytes));
                _inOrderBytes += bytes.Length;
                tooMany = _inOrderBytes > MostInOrder;
                (pump, _isPumping) = (!_isPumping, true);
            }
        }
        if (tooMany)
            connection.Abort($"the other end takes so little that more than {MostInOrder} bytes would wait for it");
        else if (pump) _ = PumpAsync();
        else if (direct) SendShort(head, bytes, message.MayWait);
    }

    private void SendShort(FrameHead head, in ReadOnlySequence<byte> bytes, bool mayWait)
    {
        var length = FrameHead.Size + (int)bytes.Length;
        var rented = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            head.Write(rented);
            bytes.CopyTo(rented.AsSpan(FrameHead.Size));
            connection.Send(id, rented.AsSpan(0, length), mayWait: mayWait);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    // A long message that is no bulk, and what was said after it: one after the other.
    private async Task PumpAsync()
    {
        try
        {
            await PumpAllAsync();
        }
        catch (Exception e) // nothing that waits here would ever be said
        {
            Log.LargeRefused(host.Logger, "any", job, e.ToString());
            connection.Abort($"an error at this end: {e.GetType().Name}");
        }
    }

    private async Task PumpAllAsync()
    {
        while (true)
        {
            FrameHead head;
            ReadOnlySequence<byte> bytes;
            lock (_gate)
            {
                if (!_inOrder.TryDequeue(out var next))
                {
                    _isPumping = false;
                    return;
                }
                (head, bytes) = next;
                _inOrderBytes -= bytes.Length;
            }
            // Whoever finds the pump at rest is behind this.
            if (FrameHead.Size + bytes.Length <= connection.MaxMessageBytes)
            {
                SendShort(head, bytes, mayWait: false);
                continue;
            }
            if (await SendStreamAsync(head, bytes, 0, default) is not { } error) continue;
            // What the session had to bring cannot be brought: the next one begins with what counts.
            if (!_end.IsCancellationRequested)
            {
                Log.LargeRefused(host.Logger, head.Kind.ToString(), job, error);
                connection.Abort($"a message of kind {head.Kind} was not taken: {error}");
            }
            return;
        }
    }

    private async Task SendBulkAsync(FrameHead head, ReadOnlySequence<byte> bytes)
    {
        await ToldAsync();
        var (offset, hash) = await host.Compute.RunAsync(() => OffsetAtPeer(head, bytes));
        var error = await SendStreamAsync(head, bytes, offset, hash);
        // The beginning may have been forgotten meanwhile.
        if (error is not null && offset > 0 && !_end.IsCancellationRequested)
            error = await SendStreamAsync(head, bytes, 0, default);
        // The receiver has told its runtime, which answers for it.
        if (error is not null && !_end.IsCancellationRequested)
            Log.LargeRefused(host.Logger, head.Kind.ToString(), job, error);
    }

    // A peer that never tells costs itself the resume, and nobody the budget.
    private async Task ToldAsync()
    {
        if (_told.Task.IsCompleted) return;
        using (host.Time.CreateTimer(
            static t => ((TaskCompletionSource)t!).TrySetResult(), _told, LongestTelling, Timeout.InfiniteTimeSpan))
            await _told.Task;
    }

    /// <returns>Null once it is sent, or why it is not.</returns>
    private async Task<string?> SendStreamAsync(
        FrameHead head, ReadOnlySequence<byte> bytes, long offset, ReadOnlyMemory<byte> hash)
    {
        try
        {
            // Of the whole connection, which other jobs share.
            await streams.EnterAsync(_end.Token);
            try
            {
                var start = new byte[FrameHead.Size + hash.Length];
                (head with { Offset = offset }).Write(start);
                hash.CopyTo(start.AsMemory(FrameHead.Size));
                await connection.SendStreamAsync(id, start, bytes, offset, cancellationToken: _end.Token);
                return null;
            }
            finally
            {
                streams.Leave();
            }
        }
        catch (OperationCanceledException)
        {
            return "the channel is over"; // what counts is said again on the next
        }
        catch (FlareException e)
        {
            return Words.Of(e);
        }
    }

    // Where the other end has the beginning of the very same bytes, the rest is enough.
    private (long Offset, ReadOnlyMemory<byte> Hash) OffsetAtPeer(FrameHead head, in ReadOnlySequence<byte> bytes)
    {
        Control.Start? best = null;
        lock (_gate)
        {
            foreach (var start in _atPeer)
                if (start.Kind == head.Kind && start.Length == bytes.Length && start.Received > (best?.Received ?? 0))
                    best = start;
            if (best is null) return default;
            _atPeer.Remove(best);
        }
        return LinkMessageReader.HashStart(bytes, best.Received).AsSpan().SequenceEqual(best.Sha256)
            ? (best.Received, best.Sha256) : default;
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
        var reader = head.Offset == 0 ? new(job, head) : Begun(head, offer.Head);
        if (reader is null) return StreamAnswer.Refuse("its beginning is not here any more");
        var refusal = !head.IsBulk && _hearsLong ? "two long messages at once, of those that keep their order"
            : owner.RefusalOf(head);
        if (refusal is not null)
        {
            Log.LargeNotTaken(host.Logger, head.Kind.ToString(), job, peer, refusal);
            // The runtime finds it wanting and answers for it: nobody waits for what never comes.
            if (head.IsBulk && refusal != Owner.OnItsWay)
                owner.Deliver(this, new(head with { Offset = 0, Length = 0 }, default));
            if (head.Offset > 0) partials.Keep(peer, reader);
            return StreamAnswer.Refuse(refusal);
        }
        if (!head.IsBulk) _hearsLong = true;
        return StreamAnswer.Accept(new Sink(this, head, reader));
    }

    private LinkMessageReader? Begun(FrameHead head, in ReadOnlySequence<byte> offered)
    {
        Span<byte> hash = stackalloc byte[HashBytes];
        if (offered.Length != FrameHead.Size + HashBytes) return null;
        offered.Slice(FrameHead.Size).CopyTo(hash);
        return partials.Take(peer, head, hash);
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

        public void Abort(string reason) => channel.OnAbort(reader, head);
    }

    private void OnComplete(LinkMessageReader reader, FrameHead head)
    {
        if (!head.IsBulk) _hearsLong = false;
        owner.Deliver(this, reader.Complete(head));
    }

    private void OnAbort(LinkMessageReader reader, FrameHead head)
    {
        if (!head.IsBulk) _hearsLong = false;
        else if (reader.Received >= host.Limits.LeastPartialBytes && reader.Received < reader.Length)
            partials.Keep(peer, reader);
    }
}
