using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Authentication;

namespace Flare.Transport;

public sealed partial class FrameConnection
{
    private volatile ConnectionEnd? _end;
    private bool _isWoken;
    private bool _isAborted;
    private volatile bool _isInterrupted;
    private volatile bool _isGivenUp;
    private volatile Exception? _cutOffError;
    private bool _isCutOff;

    private void Tick()
    {
        lock (_gate)
        {
            if (_end is not null) return;
            var now = _time.GetTimestamp();
            TimeSpan Since(long then) => _time.GetElapsedTime(then, now);
            if (_peer is null && Since(_begun) >= _options.HandshakeTimeout)
            {
                EndLocked(new(ConnectionEndKind.TimedOut,
                    Invariant($"the other end has not said hello within {_options.HandshakeTimeout.TotalSeconds} s")));
            }
            else if (Since(_lastHeard) >= _options.IdleTimeout)
            {
                EndLocked(new(ConnectionEndKind.TimedOut,
                    Invariant($"nothing was heard of the other end for {_options.IdleTimeout.TotalSeconds} s")));
            }
            else if (_flushBegan is { } began && Since(began) >= _options.StallTimeout)
            {
                EndLocked(new(ConnectionEndKind.TimedOut,
                    Invariant($"the other end has taken nothing for {_options.StallTimeout.TotalSeconds} s")));
            }
            else if (_open > 0 && Since(_progressFrom) >= _options.StallTimeout)
            {
                // Where this end holds the other back, it may be slow.
                if (_progress < _options.LeastStreamBytes && _owed.Count == 0)
                {
                    EndLocked(new(ConnectionEndKind.TimedOut, Invariant(
                        $"the other end has sent {_progress} bytes of its streams in ")
                            + Invariant($"{_options.StallTimeout.TotalSeconds} s")));
                }
                else (_progressFrom, _progress) = (now, 0);
            }
            else if (_isClosing && now >= _closeBy)
                EndLocked(new(ConnectionEndKind.Closed, $"{_closeReason} (without waiting any longer)"));
            // What the other end may wait for: a quarter of its patience.
            else if (_peer is { } peer && Since(_lastSaid).TotalMilliseconds * 4 >= peer.IdleMilliseconds
                && !_isWriting && !_saidClose)
                _queue.Add(FrameType.Ping, 0, 8).Clear();
        }
        Write();
    }

    private void End(ConnectionEnd end)
    {
        lock (_gate) EndLocked(end);
        Write();
    }

    // Whoever calls it calls Write once it has left the lock.
    private void EndLocked(ConnectionEnd end)
    {
        if (_end is not null) return;
        _end = end;
        if (!_isWriting) _written.TrySetResult();
    }

    private void WakeAtEnd()
    {
        if (Interlocked.Exchange(ref _isWoken, true)) return;
        _pipe.Input.CancelPendingRead();
        if (!IsOrderly) _pipe.Output.CancelPendingFlush();
    }

    // Then the other end is told, and what is just being written may be finished, within a second.
    private bool IsOrderly => _end!.Kind is not (ConnectionEndKind.Lost or ConnectionEndKind.TimedOut) && !_isAborted;

    // The last word, before the connection ends.
    private void Tell(string reason)
    {
        lock (_gate)
        {
            if (_end is not null || _saidClose) return;
            _saidClose = true;
            var text = Reason.Encode(reason, MostReasonBytes);
            text.CopyTo(_queue.Add(FrameType.Close, 0, text.Length));
        }
    }

    /// <summary>Ends a running connection now: the other end is told why, and nothing more of it is heard.</summary>
    /// <param name="reason">Why.</param>
    public void Refuse(string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        Tell(reason);
        End(new(ConnectionEndKind.Refused, reason));
    }

    // Whatever fails on the way: who waits for the end, or for a stream, hears of it.
    private async Task<ConnectionEnd> FinishAsync()
    {
        var end = _end!;
        try
        {
            await PutAwayAsync(end);
        }
        catch (Exception e) // a pipe's: the application may have made it
        {
            end = Failed(end, "what carries the connection", e);
        }
        if (_cutOffError is { } error) end = Failed(end, "what carries the connection", error);
        OutgoingStream[] outgoing;
        lock (_gate) outgoing = [.. _outgoing];
        foreach (var stream in outgoing)
        {
            stream.Error ??= Gone();
            stream.Tell();
        }
        foreach (var stream in _incoming.Values)
        {
            try
            {
                stream.Sink.Abort(end.Reason);
            }
            catch (Exception e) // a receiver's
            {
                end = Failed(end, "what stands behind the connection", e);
            }
        }
        _incoming.Clear();
        _ready.TrySetException(new FrameException(
            ErrorIds.Connection, $"The connection ended before it began: {end.Reason}.", end.IsTransient, end.Error));
        _ = _ready.Task.Exception; // who waits for it hears of it; nobody has to
        _ended.TrySetResult(end);
        return end;
    }

    // Who broke the rules, or is not believed, has still done so.
    private static ConnectionEnd Failed(ConnectionEnd end, string what, Exception e) => new(
        end.Kind is ConnectionEndKind.ProtocolError or ConnectionEndKind.Refused ? end.Kind : ConnectionEndKind.Failed,
        $"{end.Reason}; and as it ended {what} failed: {e.Message}",
        end.Error is { } first ? new AggregateException(first, e) : e);

    private async Task PutAwayAsync(ConnectionEnd end)
    {
        WatchLimits(begins: false);
        if (_timer is not null) await _timer.DisposeAsync();
        if (_receipts is not null) await _receipts.DisposeAsync();
        if (_limitTimer is not null) await _limitTimer.DisposeAsync();
        var second = TimeSpan.FromSeconds(1);
        await using (_time.CreateTimer(static c => ((FrameConnection)c!).GiveUp(), this, second, second))
        {
            await _written.Task; // until then memory of a stream's content may be in use
            try
            {
                await SayLastAsync(end);
                // What a broken-off flush has left in a pipe is written once more by a completion in order.
                var broken = _isInterrupted || _isGivenUp ? new IOException(end.Reason) : null;
                await CompleteAsync(_pipe.Output.CompleteAsync(broken));
            }
            finally
            {
                await CompleteAsync(_pipe.Input.CompleteAsync());
            }
        }
    }

    // After a second what waits for the pipe is called back; after another, what does not heed that is cut off.
    private void GiveUp()
    {
        if (_isGivenUp && !_isCutOff && _pipe is IAsyncDisposable transport)
        {
            _isCutOff = true;
            _ = CutOffAsync(transport);
            return;
        }
        _isGivenUp = true;
        _pipe.Output.CancelPendingFlush();
        _pipe.Input.CancelPendingRead();
    }

    private async Task CutOffAsync(IAsyncDisposable transport)
    {
        try
        {
            await transport.DisposeAsync();
        }
        catch (Exception e) // the application's; the end says so
        {
            _cutOffError = e;
        }
    }

    private async Task SayLastAsync(ConnectionEnd end)
    {
        ReadOnlyMemory<byte> last;
        lock (_gate) last = _queue.Take();
        if (last.IsEmpty || !IsOrderly || _isInterrupted) return;
        try
        {
            await _pipe.Output.WriteAsync(last);
            // To hang up on what still comes would have the system throw away what the other end is told.
            var waits = end.Kind is ConnectionEndKind.ProtocolError or ConnectionEndKind.Failed
                or ConnectionEndKind.Refused;
            while (waits && !_isGivenUp)
            {
                var read = await _pipe.Input.ReadAsync();
                _pipe.Input.AdvanceTo(read.Buffer.End);
                waits = !read.IsCompleted;
            }
        }
        catch (Exception e) when (IsTransportFailure(e))
        {
            _isInterrupted = true; // the other end does not hear it: it has hung up
        }
    }

    private static async ValueTask CompleteAsync(ValueTask completing)
    {
        try
        {
            await completing;
        }
        catch (Exception e) when (IsTransportFailure(e))
        {
            // It broke once more while it was put away.
        }
    }

    private static bool IsTransportFailure(Exception e) =>
        e is IOException or SocketException or ObjectDisposedException or OperationCanceledException
            or WebSocketException or AuthenticationException;
}
