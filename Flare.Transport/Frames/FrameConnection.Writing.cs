using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace Flare.Transport;

public sealed partial class FrameConnection : IThreadPoolWorkItem
{
    private bool _isWriting;
    private bool _isReading;
    private bool _writesAfterReading;
    private bool _isClosing;
    private bool _saidClose;
    private string _closeReason = "";
    private long _closeBy;
    private int _nextTurn;
    private long? _flushBegan;
    private bool _isReceiptDue;

    // Has somebody write what waits, unless somebody does; after an end, wakes whoever waits for the pipe. Called
    // without the lock after whatever was done under it: a pipe may run what waits for it on this very thread.
    private void Write()
    {
        if (_end is not null)
        {
            WakeAtEnd();
            return;
        }
        lock (_gate)
        {
            if (_isWriting || !_isRunning || _end is not null) return;
            if (_isReading)
            {
                // Answers to one batch of frames go out together, by the thread that read them.
                _writesAfterReading = true;
                return;
            }
            _isWriting = true;
        }
        // A job's loop, and the rig's, are not kept busy with a transport's work; a thread without one does its own.
        if (_context is { } own) own.Post(static c => _ = ((FrameConnection)c!).WriteAllAsync(), this);
        else if (SynchronizationContext.Current is null) _ = WriteAllAsync();
        else ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    // Under the lock: whether what was just queued goes out later, by itself or with more.
    private bool WaitsForMore()
    {
        if (_receipts is not { } timer || _end is not null) return false;
        if (!_isReceiptDue) timer.Change(_options.ReceiptDelay, Timeout.InfiniteTimeSpan);
        return _isReceiptDue = true;
    }

    private void SayReceipts()
    {
        lock (_gate)
        {
            _isReceiptDue = false;
            if (_queue.Count == 0) return; // they went out with others
        }
        Write();
    }

    void IThreadPoolWorkItem.Execute() => _ = WriteAllAsync();

    private async Task WriteAllAsync()
    {
        var writer = _pipe.Output;
        try
        {
            while (true)
            {
                ReadOnlyMemory<byte> frames;
                OutgoingStream? stream = null;
                ReadOnlySequence<byte> chunk = default;
                lock (_gate)
                {
                    if (_end is not null)
                    {
                        _isWriting = false; // what waits may still be said: FinishAsync
                        break;
                    }
                    SayCloseOnceDone();
                    frames = _queue.Take();
                    if (frames.IsEmpty && (stream = NextStream()) is null)
                    {
                        _isWriting = false;
                        return;
                    }
                    if (stream is not null)
                    {
                        chunk = stream.Take(_options.SendLimit?.Chunk(ChunkBytes) ?? ChunkBytes);
                        _options.SendLimit?.Take(chunk.Length);
                        stream.IsWriting = true;
                    }
                    _flushBegan = _time.GetTimestamp();
                }
                var flushed = stream is null
                    ? await writer.WriteAsync(frames) : await WriteChunkAsync(stream, chunk);
                var isGone = flushed.IsCompleted || flushed.IsCanceled;
                lock (_gate)
                {
                    (_flushBegan, _lastSaid) = (null, _time.GetTimestamp());
                    if (stream is not null) HasWritten(stream, (int)chunk.Length);
                }
                if (flushed.IsCanceled) _isInterrupted = true;
                if (isGone) End(new(ConnectionEndKind.Lost, "the other end does not read any more"));
            }
        }
        catch (Exception e)
        {
            _isInterrupted = true;
            lock (_gate) _isWriting = false;
            var kind = IsTransportFailure(e) ? ConnectionEndKind.Lost : ConnectionEndKind.Failed;
            End(new(kind, $"the connection broke while it was written to: {e.Message}", e));
        }
        _written.TrySetResult();
    }

    // The head and what fills a record of TLS go through the pipe's own buffer; the rest goes out from where it lies.
    private ValueTask<FlushResult> WriteChunkAsync(
        OutgoingStream stream, in ReadOnlySequence<byte> chunk)
    {
        const int Record = 16 * 1024;
        var writer = _pipe.Output;
        var first = (int)Math.Min(chunk.Length, Record - WireHead.Size);
        var span = writer.GetSpan(WireHead.Size + first);
        new WireHead(FrameType.Data, (int)chunk.Length, stream.Id).Write(span);
        chunk.Slice(0, first).CopyTo(span[WireHead.Size..]);
        writer.Advance(WireHead.Size + first);
        var rest = chunk.Slice(first);
        if (rest.IsEmpty) return writer.FlushAsync();
        if (rest.IsSingleSegment) return writer.WriteAsync(rest.First);
        foreach (var segment in rest) writer.Write(segment.Span);
        return writer.FlushAsync();
    }

    private OutgoingStream? NextStream()
    {
        if (_peer is null || _pace?.HasRoom == false) return null;
        for (var i = 0; i < _outgoing.Count; i++)
        {
            var index = (_nextTurn + i) % _outgoing.Count;
            if (_outgoing[index] is not { Credit: > 0, IsOver: false } stream) continue;
            if (!MaySend()) return null;
            _nextTurn = index + 1;
            return stream;
        }
        return null;
    }

    private void HasWritten(OutgoingStream stream, int bytes)
    {
        stream.IsWriting = false;
        if (_pace is not null && _end is null && _queue.Count < _options.MaxQueuedBytes)
            BinaryPrimitives.WriteInt64LittleEndian(_queue.Add(FrameType.Ping, 0, 8), _pace.Sent(bytes));
        if (!stream.IsOver && !stream.Rest.IsEmpty) return;
        stream.IsOver = true;
        _outgoing.Remove(stream);
        stream.Tell(); // continues elsewhere
    }

    // Without the lock's being held: the receiver's or the caller's doing.
    private void BreakOff(OutgoingStream stream, CancellationToken why)
    {
        lock (_gate)
        {
            if (stream.IsOver) return;
            Finish(stream, new OperationCanceledException(why));
            AddReset(stream.Id, "its sender has broken it off");
        }
        Write();
    }

    // The content's memory is the caller's again once it is told: not while a chunk is being written.
    private void Finish(OutgoingStream stream, Exception error)
    {
        (stream.IsOver, stream.Error) = (true, error);
        if (stream.IsWriting) return;
        _outgoing.Remove(stream);
        stream.Tell();
    }

    private void AddReset(uint id, string reason)
    {
        var text = Reason.Encode(reason, MostReasonBytes);
        if (_end is null && HasRoom(text.Length)) text.CopyTo(_queue.Add(FrameType.Reset, id, text.Length));
    }

    private bool HasRoom(int length)
    {
        if (_queue.Count + WireHead.Size + length <= _options.MaxQueuedBytes) return true;
        EndLocked(new(ConnectionEndKind.TimedOut,
            $"the other end takes so little that more than {_options.MaxQueuedBytes} bytes would wait for it"));
        return false;
    }

    private void SayCloseOnceDone()
    {
        if (!_isClosing || _saidClose || _outgoing.Count > 0 || _end is not null) return;
        _saidClose = true;
        var text = Reason.Encode(_closeReason, MostReasonBytes);
        text.CopyTo(_queue.Add(FrameType.Close, 0, text.Length));
    }

    private FrameException Gone() => new(
        ErrorIds.Connection, $"The connection has ended: {_end?.Reason ?? "it is closing"}.", isTransient: true);
}
