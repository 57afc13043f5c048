using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Transport;

public sealed partial class FrameConnection
{
    private readonly Dictionary<uint, IncomingStream> _incoming = [];
    private readonly TaskCompletionSource _written = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private uint _lastIncoming;
    private WireHead? _data; // the frame of data of which a part is here; Length: what is still to come
    private long _lastHeard;
    private long _lastSaid;
    private long _begun;

    // Streams that arrive, and what has come of them since when: one that trickles would hold its place for ever.
    private int _open;
    private long _progress;
    private long _progressFrom;

    private async Task ReadAllAsync()
    {
        var reader = _pipe.Input;
        try
        {
            while (true)
            {
                var read = await reader.ReadAsync();
                var rest = read.Buffer;
                bool isOver;
                lock (_gate)
                {
                    isOver = _end is not null;
                    if (!isOver) (_lastHeard, _isReading) = (_time.GetTimestamp(), true);
                }
                if (isOver)
                {
                    reader.AdvanceTo(rest.End); // a pipe may be read again only then: what is last said waits so
                    return;
                }
                try
                {
                    while (TryTake(ref rest)) { }
                    reader.AdvanceTo(rest.Start, rest.End);
                }
                catch
                {
                    reader.AdvanceTo(read.Buffer.End); // what is behind the fault is nothing
                    throw;
                }
                finally
                {
                    bool writes;
                    lock (_gate) (_isReading, writes, _writesAfterReading) = (false, _writesAfterReading, false);
                    if (writes) Write();
                }
                if (!read.IsCompleted) continue;
                End(new(ConnectionEndKind.Lost, _peer is null
                    ? "the other end hung up before it said hello" : "the other end is gone without a word"));
                return;
            }
        }
        catch (FlareException e)
        {
            var words = Words.Of(e);
            Tell(words);
            End(new(ConnectionEndKind.ProtocolError, words, e));
        }
        catch (Exception e) when (IsTransportFailure(e))
        {
            End(new(ConnectionEndKind.Lost, $"the connection broke while it was read from: {e.Message}", e));
        }
        catch (Exception e) // a receiver's: whatever it is, nobody else would hear of it
        {
            Tell("an error at this end; its operator has the details");
            End(new(ConnectionEndKind.Failed, $"what stands behind the connection failed: {e.Message}", e));
        }
    }

    // Takes one frame, or what is here of one of data; false where there is too little for either, or the end.
    private bool TryTake(ref ReadOnlySequence<byte> buffer)
    {
        if (_data is { } data) return TryTakeData(data, ref buffer);
        if (buffer.Length < WireHead.Size) return false;
        var head = ReadHead(buffer);
        Check(head);
        if (head.Type == FrameType.Data)
        {
            buffer = buffer.Slice(WireHead.Size);
            BeginData(head);
            return true;
        }
        if (buffer.Length < WireHead.Size + head.Length) return false;
        var payload = buffer.Slice(WireHead.Size, head.Length);
        buffer = buffer.Slice(payload.End);
        return Take(head, payload);
    }

    private static WireHead ReadHead(in ReadOnlySequence<byte> buffer)
    {
        if (buffer.FirstSpan.Length >= WireHead.Size) return WireHead.Read(buffer.FirstSpan);
        Span<byte> bytes = stackalloc byte[WireHead.Size];
        buffer.Slice(0, WireHead.Size).CopyTo(bytes);
        return WireHead.Read(bytes);
    }

    // Before anything is waited for: a frame that is too long is never buffered.
    private void Check(WireHead head)
    {
        if (_peer is null && head.Type != FrameType.Hello)
        {
            // Most likely no frame at all: an HTTP client, a TLS record, a scan.
            throw Broken("it does not begin with Flare's hello; the address must be that of a Flare server, and both "
                + "ends must use the same transport security");
        }
        var (least, most) = head.Type switch
        {
            FrameType.Hello => (Hello.Size, Hello.MostBytes),
            FrameType.Message => (0, _options.MaxMessageBytes),
            FrameType.Open => (OpenSize, OpenSize + _options.MaxStreamHeadBytes),
            FrameType.Data => (1, WireHead.LargestLength),
            FrameType.Credit => (4, 4),
            FrameType.Ping or FrameType.Pong => (8, 8),
            FrameType.Reset or FrameType.Close => (0, MostReasonBytes),
            _ => throw Broken($"a frame has the unknown type {(byte)head.Type}"),
        };
        if (head.Length < least || head.Length > most)
        {
            throw Broken(
                $"a frame of type {head.Type} has {head.Length} bytes, and may have from {least} to {most} here");
        }
    }

    private bool Take(WireHead head, in ReadOnlySequence<byte> payload)
    {
        switch (head.Type)
        {
            case FrameType.Hello: OnHello(payload); break;
            case FrameType.Message: _receiver.OnMessage(head.Id, payload); break;
            case FrameType.Open: OnOpen(head.Id, payload); break;
            case FrameType.Credit: OnCredit(head.Id, payload); break;
            case FrameType.Reset: OnReset(head.Id, payload); break;
            case FrameType.Ping: OnPing(payload); break;
            case FrameType.Pong: OnPong(payload); break;
            case FrameType.Close: OnClose(payload); return false;
        }
        return true;
    }

    private void OnHello(in ReadOnlySequence<byte> payload)
    {
        if (_peer is not null) throw Broken("it says hello twice");
        Span<byte> bytes = stackalloc byte[Hello.MostBytes];
        payload.CopyTo(bytes);
        var hello = Hello.Read(bytes[..(int)payload.Length]);
        lock (_gate)
        {
            _peer = hello;
            // Often enough for the less patient of both.
            var tick = TimeSpan.FromMilliseconds(Math.Max(25, hello.IdleMilliseconds / 12.0));
            if (tick < _tick) _timer?.Change(tick, tick);
        }
        _ready.TrySetResult();
    }

    private void OnOpen(uint id, in ReadOnlySequence<byte> payload)
    {
        Span<byte> start = stackalloc byte[OpenSize];
        payload.Slice(0, OpenSize).CopyTo(start);
        var channel = BinaryPrimitives.ReadUInt32LittleEndian(start);
        var length = BinaryPrimitives.ReadInt64LittleEndian(start[4..]);
        var offset = BinaryPrimitives.ReadInt64LittleEndian(start[12..]);
        if (id <= _lastIncoming || id % 2 == _nextStream % 2)
            throw Broken($"it opens stream {id}, which is not a number that it may take next");
        if (length < 0 || offset < 0 || offset > length)
            throw Broken($"it opens a stream of {length} bytes from byte {offset} on");
        if (_incoming.Count >= _options.MaxStreams)
            throw Broken($"it opens more streams at once than the {_options.MaxStreams} that this end takes");
        _lastIncoming = id;
        StreamAnswer answer;
        try
        {
            answer = _receiver.OnStream(new(channel, payload.Slice(OpenSize), length, offset));
            if (answer.Sink is { } sink && offset == length) sink.Complete();
        }
        catch (FlareException e)
        {
            answer = StreamAnswer.Refuse(Words.Of(e));
        }
        if (answer.Sink is not { } taken)
        {
            Reset(id, answer.Refusal ?? "it is not wanted");
            return;
        }
        if (offset == length) return;
        _incoming.Add(id, new(taken, length - offset, _options.StreamWindow));
        _options.ReceiveLimit?.Take(Math.Min(length - offset, _options.StreamWindow));
        lock (_gate)
        {
            if (++_open == 1) (_progressFrom, _progress) = (_time.GetTimestamp(), 0);
        }
    }

    private void BeginData(WireHead head)
    {
        if (_incoming.TryGetValue(head.Id, out var stream))
        {
            if (!stream.Allows(head.Length))
                throw Broken($"it sends more of stream {head.Id} than it was given credit for");
            stream.Announce(head.Length);
        }
        // What was refused may still be on its way; what was never opened is nothing's.
        else if (head.Id > _lastIncoming || head.Id % 2 == _nextStream % 2)
            throw Broken($"it sends data of stream {head.Id}, which it never opened");
        _data = head;
    }

    private bool TryTakeData(WireHead data, ref ReadOnlySequence<byte> buffer)
    {
        if (buffer.IsEmpty) return false;
        var part = buffer.Slice(0, Math.Min(buffer.Length, data.Length));
        buffer = buffer.Slice(part.End);
        var count = (int)part.Length;
        lock (_gate) _progress += count;
        _data = count < data.Length ? data with { Length = data.Length - count } : null;
        if (!_incoming.TryGetValue(data.Id, out var stream)) return true;
        try
        {
            foreach (var segment in part) stream.Sink.Write(segment.Span);
        }
        catch (FlareException e)
        {
            RemoveIncoming(data.Id);
            stream.Sink.Abort(Words.Of(e));
            Reset(data.Id, Words.Of(e));
            return true;
        }
        var (more, charge) = stream.Take(count);
        if (stream.Left == 0) Complete(data.Id, stream.Sink);
        else if (more > 0) Owe(data.Id, stream, more, charge);
        return true;
    }

    // The sink's last call, even where it throws.
    private void Complete(uint id, IStreamSink sink)
    {
        RemoveIncoming(id);
        try
        {
            sink.Complete();
        }
        catch (FlareException e)
        {
            Reset(id, Words.Of(e));
        }
    }

    private void RemoveIncoming(uint id)
    {
        if (_incoming.Remove(id, out var stream)) stream.IsOver = true;
        lock (_gate) _open--;
    }

    private void Reset(uint id, string reason)
    {
        lock (_gate) AddReset(id, reason);
        Write();
    }

    private void OnCredit(uint id, in ReadOnlySequence<byte> payload)
    {
        var more = ReadInt32(payload);
        if (more <= 0) throw Broken($"it gives a stream {more} bytes of credit");
        lock (_gate)
        {
            if (id >= _nextStream || id % 2 != _nextStream % 2)
                throw Broken($"it gives credit to stream {id}, which was never opened");
            foreach (var stream in _outgoing)
            {
                if (stream.Id != id) continue;
                stream.Credit = Math.Min(stream.Credit + more, long.MaxValue / 2);
                break;
            }
        }
        Write();
    }

    private void OnReset(uint id, in ReadOnlySequence<byte> payload)
    {
        var reason = Reason.Decode(payload);
        if (_incoming.TryGetValue(id, out var incoming))
        {
            RemoveIncoming(id);
            incoming.Sink.Abort(reason);
            return;
        }
        lock (_gate)
        {
            foreach (var stream in _outgoing)
            {
                if (stream.Id != id || stream.IsOver) continue;
                Finish(stream, new FrameException(
                    ErrorIds.Connection, $"The other end does not take the stream: {reason}.", isTransient: false));
                break;
            }
        }
    }

    private void OnPing(in ReadOnlySequence<byte> payload)
    {
        lock (_gate)
        {
            if (_end is not null || !HasRoom(8)) return;
            payload.CopyTo(_queue.Add(FrameType.Pong, 0, 8));
        }
        Write();
    }

    private void OnPong(in ReadOnlySequence<byte> payload)
    {
        if (_pace is null) return;
        Span<byte> bytes = stackalloc byte[8];
        payload.CopyTo(bytes);
        lock (_gate) _pace.Heard(BinaryPrimitives.ReadInt64LittleEndian(bytes));
        Write();
    }

    private void OnClose(in ReadOnlySequence<byte> payload)
    {
        var reason = Reason.Decode(payload);
        bool first;
        lock (_gate) first = !_isClosing;
        if (first) Tell("closed in answer");
        End(new(first ? ConnectionEndKind.ClosedByPeer : ConnectionEndKind.Closed, first ? reason : _closeReason));
    }

    private static int ReadInt32(in ReadOnlySequence<byte> payload)
    {
        Span<byte> bytes = stackalloc byte[4];
        payload.CopyTo(bytes);
        return BinaryPrimitives.ReadInt32LittleEndian(bytes);
    }

    private static FrameException Broken(string what) => new(
        ErrorIds.Connection, $"the other end breaks the rules of Flare's frames: {what}", isTransient: false);
}
