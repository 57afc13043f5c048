using System.Globalization;
using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// A loop that makes asynchronous code deterministic: one thread runs every continuation, a seed chooses the next among
/// those that are ready, and time is virtual: it jumps to the next timer when nothing is ready. The same seed gives the
/// same run, step by step.
/// <para>Code takes part that awaits on this context and takes time from <see cref="Time"/> and heavy work to
/// <see cref="Compute"/>. What leaves it all the same (<c>ConfigureAwait(false)</c>, <c>Task.Run</c>, the wall clock)
/// is counted in <see cref="Escapes"/> as it comes back.</para>
/// </summary>
public sealed class SimulationLoop : SynchronizationContext
{
    // How long, in real time, a loop with nothing left to do waits for work that may have escaped to another thread.
    private static readonly TimeSpan EscapePatience = TimeSpan.FromMilliseconds(250);

    private readonly List<(SendOrPostCallback Callback, object? State)> _ready = [];
    private readonly PriorityQueue<SimulatedTimer, (long Due, ulong Tie)> _timers = new();
    private readonly List<Exception> _unhandled = [];
    private readonly List<string>? _log;
    private readonly Lock _gate = new();
    private readonly SimulationRandom _processes;
    private Fnv1a _hash = new();
    private int _thread;
    private int _escapes;

    /// <summary>Creates a loop at the virtual time zero.</summary>
    /// <param name="seed">What the choices derive from.</param>
    /// <param name="keepLog">Whether to keep what is traced as text.</param>
    public SimulationLoop(ulong seed, bool keepLog = false)
    {
        Random = new SimulationRandom(seed);
        _processes = new SimulationRandom(seed ^ 0x9C0C_E550);
        Time = new SimulatedTime(this);
        Compute = new SimulatedCompute(this);
        if (keepLog) _log = [];
    }

    /// <summary>The randomness of the run; fork it rather than share it.</summary>
    public SimulationRandom Random { get; }

    /// <summary>The virtual clock, which starts in 2000.</summary>
    public TimeProvider Time { get; }

    /// <summary>A scheduler whose work runs on this loop, after a virtual delay.</summary>
    public ComputeScheduler Compute { get; }

    /// <summary>The virtual time since the start.</summary>
    public TimeSpan Now { get; private set; }

    /// <summary>Callbacks and timers that have run.</summary>
    public long Steps { get; private set; }

    /// <summary>
    /// Callbacks that other threads posted: work that had left the simulation. Zero, or the run cannot be repeated.
    /// </summary>
    public int Escapes => Volatile.Read(ref _escapes);

    /// <summary>Where the first of them came from; null without any.</summary>
    public string? FirstEscape { get; private set; }

    /// <summary>Exceptions of callbacks that nobody awaited.</summary>
    public IReadOnlyList<Exception> Unhandled => _unhandled;

    /// <summary>Everything traced, as text; empty unless kept.</summary>
    public IReadOnlyList<string> Log => _log ?? [];

    /// <summary>A hash of everything traced and of every choice made: equal for equal runs.</summary>
    public ulong TraceHash
    {
        get
        {
            var hash = _hash;
            hash.Step(Random.State);
            return hash.Value ^ (ulong)Steps;
        }
    }

    /// <summary>Runs an asynchronous method to its end.</summary>
    /// <param name="main">What to run; its exception is thrown.</param>
    /// <param name="timeLimit">Virtual time at most, from zero.</param>
    /// <param name="stepLimit">Steps at most.</param>
    public SimulationEnd Run(Func<Task> main, TimeSpan timeLimit, long stepLimit = 10_000_000)
    {
        ArgumentNullException.ThrowIfNull(main);
        var previous = Current;
        SetSynchronizationContext(this);
        _thread = Environment.CurrentManagedThreadId;
        try
        {
            var task = main();
            while (!task.IsCompleted)
            {
                if (++Steps > stepLimit) return SimulationEnd.OutOfSteps;
                if (TryTakeReady(out var item)) RunGuarded(item.Callback, item.State);
                else if (_timers.TryDequeue(out var timer, out var key))
                {
                    if (!timer.IsDue(key.Due)) continue; // stopped or set anew
                    if (key.Due > timeLimit.Ticks) return SimulationEnd.OutOfTime;
                    Now = TimeSpan.FromTicks(key.Due);
                    RunGuarded(static t => ((SimulatedTimer)t!).Fire(), timer);
                }
                else if (!SpinWait.SpinUntil(HasReady, EscapePatience))
                {
                    return SimulationEnd.Stuck;
                }
            }
            task.GetAwaiter().GetResult();
            return SimulationEnd.Completed;
        }
        finally
        {
            SetSynchronizationContext(previous);
            _thread = 0;
        }
    }

    /// <summary>Has a callback run at a later virtual time.</summary>
    public void After(TimeSpan delay, Action callback)
    {
        ArgumentNullException.ThrowIfNull(callback);
        Time.CreateTimer(static c => ((Action)c!)(), callback, delay, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Adds an event to the trace.</summary>
    /// <param name="what">What happened.</param>
    /// <param name="who">To whom.</param>
    /// <param name="first">A number that belongs to it.</param>
    /// <param name="second">Another.</param>
    public void Trace(string what, string who = "", long first = 0, long second = 0)
    {
        ArgumentNullException.ThrowIfNull(what);
        ArgumentNullException.ThrowIfNull(who);
        foreach (var c in what) Mix(c);
        foreach (var c in who) Mix(c);
        Mix((ulong)first);
        Mix((ulong)second);
        Mix((ulong)Now.Ticks);
        _log?.Add(
            string.Create(
                CultureInfo.InvariantCulture, $"{Now.TotalMilliseconds,12:F3} ms  {who,-8} {what} {first} {second}"));
    }

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        // The first stack is worth keeping: it names who came back from elsewhere.
        if (_thread != 0 && Environment.CurrentManagedThreadId != _thread && Interlocked.Increment(ref _escapes) == 1)
            FirstEscape = Environment.StackTrace;
        lock (_gate) _ready.Add((d, state));
    }

    /// <summary>Not supported: a blocking call into the loop would wait for itself.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override void Send(SendOrPostCallback d, object? state) =>
        throw new NotSupportedException("Post to the loop; it never blocks.");

    /// <inheritdoc/>
    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Names a process; what a name is shows nowhere else.</summary>
    internal Guid NewProcess()
    {
        Span<byte> id = stackalloc byte[16];
        for (var i = 0; i < id.Length; i++) id[i] = (byte)_processes.NextInt32(256);
        return new Guid(id);
    }

    /// <summary>Whether the caller is on the simulation's thread, or it does not run.</summary>
    internal bool IsOnThread => _thread == 0 || Environment.CurrentManagedThreadId == _thread;

    internal void Arm(SimulatedTimer timer, long due)
    {
        if (_thread != 0 && Environment.CurrentManagedThreadId != _thread)
        {
            // The clock belongs to the loop's thread: count the escape, and arm where it is safe.
            Post(_ => _timers.Enqueue(timer, (due, Random.NextUInt64())), null);
            return;
        }
        _timers.Enqueue(timer, (due, Random.NextUInt64())); // timers of one moment fire in any order
    }

    private bool TryTakeReady(out (SendOrPostCallback Callback, object? State) item)
    {
        lock (_gate)
        {
            item = default;
            if (_ready.Count == 0) return false;
            var index = _ready.Count == 1 ? 0 : Random.NextInt32(_ready.Count);
            item = _ready[index];
            _ready[index] = _ready[^1];
            _ready.RemoveAt(_ready.Count - 1);
            return true;
        }
    }

    private bool HasReady()
    {
        lock (_gate) return _ready.Count > 0;
    }

    private void RunGuarded(SendOrPostCallback callback, object? state)
    {
        try
        {
            callback(state);
        }
        catch (Exception e)
        {
            // Nobody awaits a raw callback: it is a finding, and the run goes on to show what follows from it.
            _unhandled.Add(e);
            Trace("unhandled exception", e.GetType().Name);
        }
    }

    private void Mix(ulong value) => _hash.Step(value);
}

/// <summary>How a <see cref="SimulationLoop"/> ended.</summary>
public enum SimulationEnd
{
    /// <summary>The method completed.</summary>
    Completed = 0,
    /// <summary>The virtual time ran out.</summary>
    OutOfTime = 1,
    /// <summary>The steps ran out: something spins.</summary>
    OutOfSteps = 2,
    /// <summary>The method waits for something, and nothing is left to happen.</summary>
    Stuck = 3,
}
