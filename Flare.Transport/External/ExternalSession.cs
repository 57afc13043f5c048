using System.Buffers;

namespace Flare.Transport;

/// <summary>One connection of a process, and the task that it is at.</summary>
internal sealed class ExternalSession : IFrameReceiver, IAsyncDisposable
{
    private static readonly TimeSpan BreakOffGrace = TimeSpan.FromSeconds(1);

    private readonly FlareConnection _pipe;
    private readonly FrameConnection _connection;
    private readonly ExternalOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private Attempt? _attempt;
    private ConnectionEnd? _end;

    public ExternalSession(FlareConnection pipe, ExternalOptions options, TimeProvider time)
    {
        (_pipe, _options, _time) = (pipe, options, time);
        _connection = new(pipe, isInitiator: false, this, options.Frames, time);
    }

    public string Address => _pipe.PeerAddress;

    /// <summary>Runs until the connection ends; whoever waits for an answer is told by <see cref="Lose"/>.</summary>
    public async Task<ConnectionEnd> RunAsync()
    {
        var end = await _connection.RunAsync();
        await _pipe.DisposeAsync();
        return end;
    }

    public async Task<bool> IsReadyAsync()
    {
        await Task.WhenAny(_connection.Ready, _connection.Ended);
        return _connection.Ready.IsCompletedSuccessfully;
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    public Task<ConnectionEnd> CloseAsync(string reason, TimeSpan grace) => _connection.CloseAsync(reason, grace);

    /// <summary>The connection has ended: the task that is under way will not be answered on it.</summary>
    public void Lose(ConnectionEnd end)
    {
        Attempt? attempt;
        lock (_gate) (_end, attempt) = (end, _attempt);
        attempt?.End(end);
    }

    /// <summary>Gives the process a task, and waits for its answer.</summary>
    /// <param name="number">The task's number, greater than those before.</param>
    /// <param name="head">What the task is.</param>
    /// <param name="tensors">Its tensors; not read any more once this has ended.</param>
    /// <param name="abort">Tells the process to leave it.</param>
    /// <returns>The answer; null, and why, where the process has gone before.</returns>
    /// <exception cref="FlareException">The answer cannot be used, or the process does not take the task.</exception>
    public async Task<(Shareable? Answer, string Lost)> DoAsync(
        long number, byte[] head, IReadOnlyList<StateDict> tensors, CancellationToken abort)
    {
        var taskBytes = tensors.Sum(t => t.Layout.Sum(s => s.ByteLength));
        var attempt = new Attempt(number, _options.MaxAnswerBytes ?? 2 * taskBytes + (64 << 20));
        lock (_gate)
        {
            if (_end is not null) return (null, _end.Reason);
            _attempt = attempt;
        }
        using var content = new TensorContent(tensors);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(abort);
        var sending = SendAsync(head, content.Bytes, stop.Token);
        try
        {
            await Task.WhenAny(sending, attempt.Answer).WaitAsync(abort); // what is being written ends later
            if (!attempt.Answer.IsCompleted) await SentAsync(sending);
            return await attempt.Answer.WaitAsync(abort);
        }
        finally
        {
            lock (_gate) _attempt = null;
            if (!attempt.Answer.IsCompleted && _connection.Ready.IsCompletedSuccessfully)
                _connection.Send(ExternalWords.Channel, ExternalWords.WriteCancel(number));
            await stop.CancelAsync();
            // One that takes nothing would hold up the site, which was told to stop.
            await Task.WhenAny(sending, Task.Delay(BreakOffGrace, _time, CancellationToken.None));
            if (!sending.IsCompleted) _connection.Abort("the process takes nothing of its task");
            await ((Task)sending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task SendAsync(byte[] head, ReadOnlySequence<byte> content, CancellationToken stop)
    {
        try
        {
            await _connection.SendStreamAsync(ExternalWords.Channel, head, content, cancellationToken: stop);
        }
        catch (ArgumentException e)
        {
            throw new FlareException(
                ErrorIds.ExternalProcess, "The process does not take what stands before the task's tensors: "
                + $"{e.Message} Let its hello say that it takes 1 MiB.", e);
        }
    }

    // Where the connection has ended, what ends the attempt says more.
    private async Task SentAsync(Task sending)
    {
        try
        {
            await sending;
        }
        catch (FrameException e) when (!e.IsTransient)
        {
            throw new FlareException(
                ErrorIds.ExternalProcess, $"The process does not take the task: {Words.Of(e)}.", e);
        }
        catch (FrameException)
        {
            await _connection.Ended;
        }
    }

    public void OnMessage(uint channel, in ReadOnlySequence<byte> message) => throw new FrameException(
        ErrorIds.Connection, "a process that does a site's work answers by streams and sends no messages; a site "
        + "connects to its server's address, not to this", isTransient: false);

    public StreamAnswer OnStream(in StreamOffer offer)
    {
        Attempt? attempt;
        lock (_gate) attempt = _attempt;
        try
        {
            if (offer.Channel != ExternalWords.Channel)
                throw ExternalWords.Malformed($"it is on channel {offer.Channel}, not {ExternalWords.Channel}");
            var bytes = offer.Head.ToArray();
            var head = ExternalWords.ReadHead(bytes);
            var number = ExternalWords.NumberOf(head);
            if (attempt is null || number < attempt.Number)
                return StreamAnswer.Refuse(Invariant($"task {number} is not waited for any more"));
            if (number > attempt.Number)
                throw ExternalWords.Malformed($"it is for task {number}, and the process was given {attempt.Number}");
            if (offer.Offset != 0) throw ExternalWords.Malformed("it does not begin with its first byte");
            if (offer.Length > attempt.MostBytes)
            {
                throw ExternalWords.Malformed(
                    $"it has {offer.Length} bytes of tensors, above {nameof(ExternalOptions.MaxAnswerBytes)}, "
                    + $"{attempt.MostBytes}");
            }
            var layouts = ExternalWords.LayoutsOf(head, offer.Length);
            if (!attempt.TryBegin()) throw ExternalWords.Malformed("the task is answered a second time");
            return StreamAnswer.Accept(new TensorSink(
                layouts, tensors => Finish(attempt, bytes, tensors),
                reason => attempt.Break($"its answer was broken off: {reason}")));
        }
        catch (FlareException e)
        {
            attempt?.Fail(Unusable(e));
            return StreamAnswer.Refuse(Words.Of(e));
        }
    }

    private static void Finish(Attempt attempt, byte[] head, StateDict[] tensors)
    {
        try
        {
            foreach (var dict in tensors)
            {
                if (InvalidBool(dict) is { } name)
                    throw ExternalWords.Malformed($"tensor '{name}' of bools has bytes other than 0 and 1");
            }
            var answer = ExternalWords.ReadAnswer(head, tensors);
            foreach (var dict in tensors) dict.HandOver();
            attempt.Succeed(answer);
        }
        catch (FlareException e)
        {
            attempt.Fail(Unusable(e));
        }
    }

    private static string? InvalidBool(StateDict dict)
    {
        foreach (var view in dict.Where(v => v.Spec.DType == DType.Bool))
            foreach (var chunk in view.Chunks())
                if (view.BytesOf(chunk).ContainsAnyExceptInRange((byte)0, (byte)1)) return view.Name;
        return null;
    }

    private static FlareException Unusable(FlareException why) => new(
        ErrorIds.ExternalProcess, $"The process's answer cannot be used: {Words.Of(why)}.", why);

    /// <summary>A task that the process was given once.</summary>
    private sealed class Attempt(long number, long mostBytes)
    {
        private readonly TaskCompletionSource<(Shareable?, string)> _answer = new(
            TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _hasBegun;

        public long Number => number;

        public long MostBytes => mostBytes;

        public Task<(Shareable?, string)> Answer => _answer.Task;

        public bool TryBegin() => !Interlocked.Exchange(ref _hasBegun, true);

        public void Succeed(Shareable answer) => _answer.TrySetResult((answer, ""));

        public void Break(string reason) => _answer.TrySetResult((null, reason));

        public void Fail(FlareException error)
        {
            _answer.TrySetException(error);
            _ = _answer.Task.Exception; // nobody waits for it any more where the task was aborted
        }

        public void End(ConnectionEnd end)
        {
            if (end.Kind is ConnectionEndKind.ProtocolError or ConnectionEndKind.Failed)
            {
                Fail(new(
                    ErrorIds.ExternalProcess, $"The process does not keep to Flare's frames: {end.Reason}.",
                    end.Error));
            }
            else Break(end.Reason);
        }
    }
}
