using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace Flare.Transport;

/// <summary>
/// Messages and streams over one duplex pipe, as docs/wire.md has them. Small messages pass streams, streams share the
/// pipe chunk by chunk, each end bounds what it takes, and silence is noticed. All members may be called from any
/// thread.
/// </summary>
/// <remarks>
/// Nothing is sent twice or in another order, and nothing is said to have arrived: whoever must know is told by a
/// message of the other end.
/// </remarks>
public sealed partial class FrameConnection : IAsyncDisposable
{
    // A frame of 64 KiB with its head: four records of TLS.
    private const int ChunkBytes = 64 * 1024 - WireHead.Size;
    private const int MostReasonBytes = 1000;
    private const int OpenSize = 4 + 8 + 8;

    private readonly IDuplexPipe _pipe;
    private readonly FrameOptions _options;
    private readonly IFrameReceiver _receiver;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly FrameQueue _queue = new();
    private readonly List<OutgoingStream> _outgoing = [];
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(
        TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Pace? _pace;
    private readonly TimeSpan _tick;
    private SynchronizationContext? _context;
    private Hello? _peer;
    private ITimer? _timer;
    private ITimer? _receipts;
    private uint _nextStream;
    private bool _isRunning;

    /// <summary>Creates one end of a connection; <see cref="RunAsync"/> begins.</summary>
    /// <param name="pipe">What carries the bytes; completed by the connection at its end. Where it can be disposed of
    /// and holds up that end for two seconds, heedless of cancellation, it is disposed of.</param>
    /// <param name="isInitiator">Whether this end has connected to the other; exactly one of both has.</param>
    /// <param name="receiver">What stands behind this end.</param>
    /// <param name="options">Limits; the defaults if left out.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public FrameConnection(
        IDuplexPipe pipe, bool isInitiator, IFrameReceiver receiver, FrameOptions? options = null,
        TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(pipe);
        ArgumentNullException.ThrowIfNull(receiver);
        options ??= new();
        var errors = string.Join("; ", options.Validate());
        if (errors.Length > 0) throw new FlareException(ErrorIds.Configuration, $"Options of a connection: {errors}.");
        (_pipe, _receiver, _options, _time) = (pipe, receiver, options, time ?? TimeProvider.System);
        _nextStream = isInitiator ? 1u : 2u;
        _tick = TimeSpan.FromMilliseconds(Math.Max(50, options.IdleTimeout.TotalMilliseconds / 12));
        if (options.PaceSending == true) _pace = new Pace(_time, options.PacedDelay, ChunkBytes);
    }

    /// <summary>Ends when the hello of the other end has come; fails if the connection ends before.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Ends when the connection has ended; never fails.</summary>
    public Task<ConnectionEnd> Ended => _ended.Task;

    /// <summary>Bytes that a message to the other end may have; known once <see cref="Ready"/>.</summary>
    /// <exception cref="InvalidOperationException">The other end has said nothing yet.</exception>
    public int MaxMessageBytes => Peer.MaxMessageBytes;

    /// <summary>Streams that the other end takes at once; known once <see cref="Ready"/>.</summary>
    /// <exception cref="InvalidOperationException">The other end has said nothing yet.</exception>
    public int MaxStreams => Peer.MaxStreams;

    private Hello Peer =>
        _peer ?? throw new InvalidOperationException("Wait for Ready: the other end states its limits.");

    /// <summary>Says hello, and reads until the connection ends. Once.</summary>
    /// <returns>How it ended; never fails.</returns>
    public async Task<ConnectionEnd> RunAsync()
    {
        var hello = Hello.Of(_options);
        lock (_gate)
        {
            if (_isRunning)
                throw new InvalidOperationException("A connection runs once; make another for another pipe.");
            (_isRunning, _context) = (true, SynchronizationContext.Current);
            _lastHeard = _lastSaid = _begun = _time.GetTimestamp();
            hello.Write(_queue.Add(FrameType.Hello, 0, Hello.Size));
        }
        WatchLimits(begins: true);
        lock (_gate)
        {
            _timer = _time.CreateTimer(static c => ((FrameConnection)c!).Tick(), this, _tick, _tick);
            if (_options.ReceiptDelay > TimeSpan.Zero)
            {
                _receipts = _time.CreateTimer(
                    static c => ((FrameConnection)c!).SayReceipts(), this, Timeout.InfiniteTimeSpan,
                    Timeout.InfiniteTimeSpan);
            }
        }
        Write();
        await ReadAllAsync();
        return await FinishAsync();
    }

    /// <summary>Sends a message. It waits behind other messages alone, not behind streams.</summary>
    /// <param name="channel">The channel that it is for.</param>
    /// <param name="message">Its bytes, copied; at most <see cref="MaxMessageBytes"/>.</param>
    /// <param name="mayWait">Whether nobody waits for it: it goes out with what is sent next, or after
    /// <see cref="FrameOptions.ReceiptDelay"/>.</param>
    /// <returns>False if the connection has ended or is closing.</returns>
    /// <exception cref="ArgumentException">It is longer than the other end takes.</exception>
    public bool Send(uint channel, ReadOnlySpan<byte> message, bool mayWait = false)
    {
        if (message.Length > Peer.MaxMessageBytes)
        {
            throw new ArgumentException(
                $"A message of {message.Length} bytes is longer than the {Peer.MaxMessageBytes} that the other end "
                + "takes; send it as a stream.", nameof(message));
        }
        lock (_gate)
        {
            if (_end is not null || _isClosing) return false;
            if (HasRoom(message.Length)) message.CopyTo(_queue.Add(FrameType.Message, channel, message.Length));
            if (mayWait && WaitsForMore()) return true;
        }
        Write();
        return _end is null;
    }

    /// <summary>Sends a stream of bytes, beside whatever else is sent.</summary>
    /// <param name="channel">The channel that it is for.</param>
    /// <param name="head">What it is, for the receiver; copied.</param>
    /// <param name="content">The whole content. Its memory is read until the task ends, and must not change.</param>
    /// <param name="offset">The first byte to send: what is before it the other end has already.</param>
    /// <param name="cancellationToken">Breaks the stream off, at both ends.</param>
    /// <returns>Ends when the last byte has been handed to the transport.</returns>
    /// <exception cref="FrameException">The connection has ended, or the other end has refused the stream.</exception>
    /// <exception cref="OperationCanceledException">It was broken off.</exception>
    public async Task SendStreamAsync(
        uint channel, ReadOnlyMemory<byte> head, ReadOnlySequence<byte> content, long offset = 0,
        CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, content.Length);
        cancellationToken.ThrowIfCancellationRequested();
        if (head.Length > Peer.MaxStreamHeadBytes)
        {
            throw new ArgumentException(
                $"A head of {head.Length} bytes is longer than the {Peer.MaxStreamHeadBytes} that the other end takes.",
                nameof(head));
        }
        OutgoingStream? stream = null;
        lock (_gate)
        {
            if (_end is null && !_isClosing && HasRoom(head.Length + OpenSize))
                stream = Open(channel, head.Span, content, offset);
        }
        Write();
        if (stream is null) throw Gone();
        using var registration = cancellationToken.UnsafeRegister(
            static (s, token) => ((Action<CancellationToken>)s!)(token),
            (CancellationToken why) => BreakOff(stream, why));
        await stream.Done;
    }

    private OutgoingStream Open(
        uint channel, ReadOnlySpan<byte> head, in ReadOnlySequence<byte> content, long offset)
    {
        if (_outgoing.Count >= Peer.MaxStreams)
        {
            throw new FrameException(
                ErrorIds.Connection, $"The other end takes {Peer.MaxStreams} streams at once, and so many are on "
                + "their way. Send one when another has ended.", isTransient: true);
        }
        var stream = new OutgoingStream(_nextStream, content.Slice(offset)) { Credit = Peer.StreamWindow };
        _nextStream += 2;
        var payload = _queue.Add(FrameType.Open, stream.Id, OpenSize + head.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(payload, channel);
        BinaryPrimitives.WriteInt64LittleEndian(payload[4..], content.Length);
        BinaryPrimitives.WriteInt64LittleEndian(payload[12..], offset);
        head.CopyTo(payload[OpenSize..]);
        if (stream.Rest.IsEmpty)
        {
            stream.IsOver = true;
            stream.Tell();
        }
        else _outgoing.Add(stream);
        return stream;
    }

    /// <summary>
    /// Closes in order: what is queued goes out first, streams included; then each end says that it is done.
    /// </summary>
    /// <param name="reason">Why, for the other end's operator.</param>
    /// <param name="grace">How long that may take; what is left then is lost.</param>
    public async Task<ConnectionEnd> CloseAsync(string reason, TimeSpan grace)
    {
        ArgumentNullException.ThrowIfNull(reason);
        bool ran;
        lock (_gate)
        {
            (ran, _isRunning) = (_isRunning, true);
            if (!ran) EndLocked(new(ConnectionEndKind.Closed, reason));
            if (!_isClosing)
            {
                (_isClosing, _closeReason) = (true, reason);
                _closeBy = _time.GetTimestamp() + (long)(grace.TotalSeconds * _time.TimestampFrequency);
                _timer?.Change(grace, _tick);
            }
        }
        Write();
        if (!ran) await FinishAsync();
        return await Ended;
    }

    /// <summary>Ends the connection now. What is queued is lost.</summary>
    /// <param name="reason">Why.</param>
    public void Abort(string reason)
    {
        bool ran;
        lock (_gate)
        {
            (ran, _isRunning) = (_isRunning, true);
            _isAborted |= _end is null;
            EndLocked(new(ConnectionEndKind.Closed, reason));
        }
        Write();
        if (!ran) _ = FinishAsync();
    }

    /// <summary>Closes, within a second.</summary>
    public async ValueTask DisposeAsync() => await CloseAsync("closed", TimeSpan.FromSeconds(1));
}
