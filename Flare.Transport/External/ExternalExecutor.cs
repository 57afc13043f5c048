using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>
/// An executor whose work is done by a process beside the site, in whatever language: tasks and models go to it over
/// Flare's frames, and its answers come back (docs/other-languages.md). Filters, policy, encryption and the connection
/// to the server stay the site's.
/// </summary>
/// <remarks>
/// The executor listens, and the process connects; who starts the process is the application's affair. One process is
/// connected at a time; a second is refused if the first is still there after a second. Where it goes away in the midst
/// of a task and comes back, the task is given to it again; where it does not come back, answers what cannot be used,
/// or dies of the task each time, the task fails in words. What a process keeps from round to round is its own: <see
/// cref="FLContext.SiteState"/> stays here.
/// </remarks>
/// <example><code>
/// await using var plan = new SiteBuilder("hospital-1")
///     .UseExecutor(() => ExternalExecutor.Listen(SocketTransport.Unix("/run/flare/hospital-1.sock"))).Build();
/// </code></example>
public sealed class ExternalExecutor : Executor, IAsyncDisposable
{
    private static readonly TimeSpan CloseGrace = TimeSpan.FromSeconds(5);

    // A process that is started anew at once may be there before the end of the one before is noticed.
    private static readonly TimeSpan SuccessionGrace = TimeSpan.FromSeconds(1);

    private readonly IFlareListener _listener;
    private readonly ExternalOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly HashSet<ExternalSession> _sessions = [];
    private readonly Task _accepting;
    private ExternalSession? _process;
    private TaskCompletionSource _arrival = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _departure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _last;

    private ExternalExecutor(IFlareListener listener, ExternalOptions options, TimeProvider time, ILogger logger)
    {
        (_listener, _options, _time, _logger) = (listener, options, time, logger);
        _accepting = Task.Run(() => ListenerLoop.RunAsync(
            _listener, c => _ = CarryAsync(new(c, _options, _time)), _time, _logger, _stop.Token));
    }

    /// <summary>Listens for the process that does the work.</summary>
    /// <param name="transport">Where: a Unix socket, which the site's own user alone may open. TCP in the clear lets
    /// in whoever can reach the port.</param>
    /// <param name="options">What is waited for and taken at most; the defaults if left out.</param>
    /// <param name="logging">Where to log; nowhere if left out.</param>
    /// <param name="time">The clock; the system's if left out.</param>
    /// <exception cref="FrameException">The address cannot be listened on.</exception>
    /// <exception cref="FlareException">The options contradict themselves.</exception>
    public static ExternalExecutor Listen(
        IFlareTransport transport, ExternalOptions? options = null, ILoggerFactory? logging = null,
        TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(transport);
        options = (options ?? new()).Checked();
        var logger = (logging ?? NullLoggerFactory.Instance).CreateLogger("Flare.Transport");
        return new(transport.Listen(), options, time ?? TimeProvider.System, logger);
    }

    /// <summary>Where it listens, with the port that the system chose.</summary>
    public string Address => _listener.Address;

    /// <summary>Whether a process is connected.</summary>
    public bool IsConnected
    {
        get { lock (_gate) return _process is not null; }
    }

    /// <summary>Gives the task to the process, and returns its answer.</summary>
    /// <inheritdoc/>
    /// <exception cref="FlareException">There is no process, it has gone at each attempt, took too long, or its answer
    /// cannot be used (<see cref="ErrorIds.ExternalProcess"/>).</exception>
    public override async ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort)
    {
        ArgumentException.ThrowIfNullOrEmpty(taskName);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(context);
        ObjectDisposedException.ThrowIf(_stop.IsCancellationRequested, this);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(abort, _stop.Token);
        for (var attempt = 1; ; attempt++)
        {
            var process = await ProcessAsync(either.Token);
            var number = Interlocked.Increment(ref _last);
            var (head, tensors) = ExternalWords.WriteTask(number, taskName, input, context);
            var (answer, lost) = await DoAsync(process, number, head, tensors, either.Token);
            if (answer is not null) return answer;
            if (attempt == _options.MaxAttempts)
            {
                throw Failed(
                    $"The process at {Address} was given the task {attempt} times and went away each time, the last "
                    + $"time because {Words.Of(lost, 500)}: what it logs says why");
            }
            Log.TaskGivenAgain(_logger, taskName, attempt + 1, _options.MaxAttempts, Words.Of(lost, 500));
        }
    }

    private async Task<(Shareable? Answer, string Lost)> DoAsync(
        ExternalSession process, long number, byte[] head, IReadOnlyList<StateDict> tensors, CancellationToken abort)
    {
        using var timeout = new CancellationTokenSource(_options.TaskTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(abort, timeout.Token);
        try
        {
            return await process.DoAsync(number, head, tensors, either.Token);
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !abort.IsCancellationRequested)
        {
            throw Failed(Invariant(
                $"The process at {Address} has not answered within {_options.TaskTimeout.TotalSeconds} s (")
                + $"{nameof(ExternalOptions.TaskTimeout)})");
        }
    }

    private async Task<ExternalSession> ProcessAsync(CancellationToken abort)
    {
        using var timeout = new CancellationTokenSource(_options.ProcessTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(abort, timeout.Token);
        while (true)
        {
            Task arrival;
            lock (_gate)
            {
                if (_process is { } process) return process;
                arrival = _arrival.Task;
            }
            try
            {
                await arrival.WaitAsync(either.Token);
            }
            catch (OperationCanceledException) when (!abort.IsCancellationRequested)
            {
                throw Failed(Invariant(
                    $"No process has connected to {Address} within {_options.ProcessTimeout.TotalSeconds} s")
                    + ": start the one that does this site's work, and have it connect there");
            }
        }
    }

    /// <summary>Tells the process that the site is done, and closes.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested) return;
        await _stop.CancelAsync();
        await _listener.DisposeAsync();
        await _accepting;
        ExternalSession[] sessions;
        lock (_gate) sessions = [.. _sessions];
        await Task.WhenAll(sessions.Select(s => s.CloseAsync("the site is done", CloseGrace)));
    }

    private async Task CarryAsync(ExternalSession session)
    {
        lock (_gate) _sessions.Add(session);
        var running = session.RunAsync();
        var (isTaken, isRefused) = (await session.IsReadyAsync() && await TakeAsync(session, running), false);
        if (isTaken) Log.ProcessConnected(_logger, Address);
        else if (isRefused = !running.IsCompleted && !_stop.IsCancellationRequested)
        {
            Log.SecondProcess(_logger, Address);
            await session.CloseAsync(
                "another process is connected and gets this site's tasks; end it first", CloseGrace);
        }
        var end = await running;
        lock (_gate)
        {
            _sessions.Remove(session);
            if (isTaken)
            {
                _process = null;
                _arrival = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _departure.TrySetResult();
                _departure = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
        session.Lose(end); // whoever waits for its answer looks for another process: this is not there any more
        if (isTaken) Log.ProcessGone(_logger, Address, end.ToString());
        else if (!isRefused) Log.NeverAProcess(_logger, Address, end.ToString());
    }

    private async Task<bool> TakeAsync(ExternalSession session, Task running)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var late = Task.Delay(SuccessionGrace, _time, over.Token);
        try
        {
            while (true)
            {
                Task departure;
                lock (_gate)
                {
                    if (TryTake(session)) return true;
                    departure = _departure.Task;
                }
                if (await Task.WhenAny(departure, late, running) != departure) return false;
            }
        }
        finally
        {
            await over.CancelAsync();
        }
    }

    private bool TryTake(ExternalSession session)
    {
        lock (_gate)
        {
            if (_process is not null) return false;
            _process = session;
            _arrival.TrySetResult();
            return true;
        }
    }

    private static FlareException Failed(string what) => new(ErrorIds.ExternalProcess, $"{what}.");
}
