using System.Runtime.CompilerServices;
using Flare.Runtime;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare;

/// <summary>
/// A federation of sites that train one model, in this process: server and sites on one loop, executors side by side on
/// the thread pool, messages without copies. It runs once.
/// </summary>
public sealed class Federation : IAsyncDisposable
{
    private readonly JobSettings _settings;
    private readonly ServerParts _parts;
    private readonly IReadOnlyList<SiteDefinition> _sites;
    private readonly int _parallelism;
    private readonly SiteStateFolder? _state;
    private readonly Func<LinkSurroundings, IFederationLinks> _makeLinks;
    private readonly CancellationTokenSource _stop = new();
    private readonly RoundHistory _rounds = new(OutcomesKept);
    private JobServer? _server;
    private SynchronizationContext? _loop;
    private bool _disposed;
    private readonly List<SiteRuntime> _atWork = [];
    private Task? _running;
    private FlareException? _failure;
    private Exception? _linksFailure;

    private ILogger _logger = NullLogger.Instance;

    internal Federation(
        JobSettings settings, ServerParts parts, IReadOnlyList<SiteDefinition> sites, int parallelism,
        SiteStateFolder? state, Func<LinkSurroundings, IFederationLinks> makeLinks)
    {
        (_settings, _parts, _sites, _parallelism) = (settings, parts, sites, parallelism);
        (_state, _makeLinks) = (state, makeLinks);
    }

    /// <summary>Builds a federation whose server and sites live in this process.</summary>
    /// <param name="configure">Adds sites and a workflow; see <see cref="FederationBuilder"/>.</param>
    /// <exception cref="FlareException">The configuration is incomplete or contradicts itself; the message lists
    /// everything that is wrong.</exception>
    public static Federation InProcess(Action<FederationBuilder> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        var builder = new FederationBuilder();
        try
        {
            configure(builder);
        }
        catch
        {
            builder.Abandon();
            throw;
        }
        return builder.Build();
    }

    /// <summary>
    /// The global model: that of the last committed round. Frozen; clone it to change it. In the loop over
    /// <see cref="RunAsync"/> it is the round's own, and so it is after the loop was left, since the next round is
    /// committed once the loop asks for it.
    /// </summary>
    /// <exception cref="InvalidOperationException">The federation has not run.</exception>
    public StateDict Model => Server.Model;

    /// <summary>What the workflow kept beside the model, such as the best model.</summary>
    /// <exception cref="InvalidOperationException">The federation has not run.</exception>
    public RunState State => Server.CommittedState;

    /// <summary>
    /// The reports of the rounds so far, without their models; any thread may read what this returns, at any time.
    /// Memory stays flat however many rounds and sites there are: beyond <see cref="OutcomesKept"/> outcomes the older
    /// reports keep only sites whose answer was not used, at most 1,000 each.
    /// </summary>
    public IReadOnlyList<RoundReport> Rounds => _rounds.All;

    /// <summary>How many sites' outcomes <see cref="Rounds"/> holds before it thins out the oldest reports.</summary>
    public const int OutcomesKept = 100_000;

    private JobServer Server =>
        _server ?? throw new InvalidOperationException("The federation has not run yet: enumerate RunAsync first.");

    /// <summary>
    /// Runs the federation and reports every round once it is committed. Leaving the stream early aborts the run; so
    /// does the token, and the stream then ends with <see cref="OperationCanceledException"/>.
    /// <para>The server does not run ahead of who reads: it trains the next round meanwhile, but commits it only once
    /// the next report is asked for. So <see cref="RoundReport.Model"/>, <see cref="Model"/> and the journal are those
    /// of the report at hand, however long it is looked at, and a stream that is left ends the job with just that
    /// round. To let the server go on, copy what you need and come back; a reader that stays away for 30 s is named in
    /// the log.</para>
    /// </summary>
    /// <param name="initialModel">The first global model. It is frozen and shared with all sites.</param>
    /// <param name="abort">Aborts the run; executors are told at once.</param>
    /// <exception cref="InvalidOperationException">The federation has run already.</exception>
    /// <exception cref="ObjectDisposedException">The federation is disposed of.</exception>
    /// <exception cref="FlareException">The job failed; or it ended well, but a filter was for a misspelt task, and so
    /// has guarded nothing (<see cref="ErrorIds.Filter"/>): the rounds are committed all the same.</exception>
    public async IAsyncEnumerable<RoundReport> RunAsync(
        StateDict initialModel, [EnumeratorCancellation] CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(initialModel);
        RequireNotRun();
        // before it starts: a token that is cancelled already runs nothing
        using var registration = abort.Register(_stop.Cancel);
        await StartAsync(initialModel);
        try
        {
            await foreach (var report in ReadReportsAsync())
            {
                _rounds.Add(report);
                yield return report;
            }
        }
        finally
        {
            await StopAsync();
        }
    }

    private async IAsyncEnumerable<RoundReport> ReadReportsAsync()
    {
        await using var reports = _server!.ReadReportsAsync().GetAsyncEnumerator();
        while (true)
        {
            try
            {
                if (!await reports.MoveNextAsync()) yield break;
            }
            catch (OperationCanceledException) when (_failure is not null)
            {
                throw _failure; // why it was aborted
            }
            yield return reports.Current;
        }
    }

    /// <summary>Runs the federation to its end and returns the reports of all rounds.</summary>
    /// <param name="initialModel">The first global model. It is frozen and shared with all sites.</param>
    /// <param name="abort">Aborts the run; executors are told at once.</param>
    public async Task<IReadOnlyList<RoundReport>> RunToEndAsync(
        StateDict initialModel, CancellationToken abort = default)
    {
        await foreach (var _ in RunAsync(initialModel, abort)) { }
        return Rounds;
    }

    /// <summary>
    /// Lets the round at hand go on without some sites, as an operator decides who reads in the log that it waits for
    /// them: their answers are not waited for, and the minimum of answers is lowered by them, though not below one.
    /// From any thread.
    /// </summary>
    /// <param name="sites">The sites' names.</param>
    /// <returns>How many answers are waited for no longer; 0 where no task waits for these sites.</returns>
    /// <exception cref="ArgumentException">A site is not of this federation.</exception>
    /// <exception cref="InvalidOperationException">The federation has not run.</exception>
    public Task<int> GoOnWithoutAsync(params IReadOnlyCollection<string> sites)
    {
        ArgumentNullException.ThrowIfNull(sites);
        var server = Server;
        var strangers = sites.Except(server.Sites).ToArray();
        if (strangers.Length > 0)
            throw new ArgumentException(
                $"No site is named {PlainText.Some(strangers, 5)}. There are {PlainText.Some(server.Sites, 10)}.",
                nameof(sites));
        var done = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        _loop!.Post(_ => GoOn(), null);
        return done.Task;

        void GoOn()
        {
            try
            {
                done.TrySetResult(server.GoOnWithout(sites));
            }
            catch (Exception e)
            {
                done.TrySetException(e);
            }
        }
    }

    /// <summary>What an extension added to the federation, such as <c>HomomorphicEncryption</c>.</summary>
    /// <exception cref="InvalidOperationException">None was added of this type.</exception>
    public T Feature<T>() where T : class => _settings.Feature<T>("federation");

    /// <summary>
    /// Aborts the run if it goes on, waits until everything has stopped, and disposes of what the federation owns:
    /// executors, filters and components that its factories made for sites, and features. What is
    /// <see cref="IAsyncDisposable"/> is disposed of so, the last made first; one that throws keeps none of the others
    /// from it. An executor that ignored its abort is disposed of once it has stopped.
    /// </summary>
    /// <exception cref="AggregateException">Some of what was disposed of threw.</exception>
    /// <exception cref="InvalidOperationException">A workflow or one of its components calls: the run would wait for
    /// itself.</exception>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        if (_disposed) return;
        _disposed = true;
        // An executor that ignores its abort still uses what disposal would take away.
        var busy = _atWork.ToDictionary(s => s.Name, s => s.IdleAsync());
        foreach (var site in _sites)
            if (busy.TryGetValue(site.Name, out var idle) && !idle.IsCompleted)
                _ = SiteFactory.DisposeOnceIdleAsync(site, idle, _logger, _settings.JobId);
        object[] owned =
        [
            .. _settings.Owned,
            .. _parts.Journal?.Unopened() ?? [],
            .. _sites.Where(s => !busy.TryGetValue(s.Name, out var idle) || idle.IsCompleted)
                .SelectMany(s => s.Components),
        ];
        try
        {
            await Disposal.DisposeAllAsync(owned);
        }
        catch (AggregateException e) when (_linksFailure is not null)
        {
            throw new AggregateException([_linksFailure, .. e.InnerExceptions]);
        }
        if (_linksFailure is not null) throw new AggregateException(_linksFailure);
    }

    private async Task StopAsync()
    {
        if (_loop is not null && SynchronizationContext.Current == _loop)
            throw new InvalidOperationException(
                "A federation cannot be ended from within its own workflow, which it would wait for. Leave the "
                    + "workflow by an exception, or have whoever enumerates RunAsync dispose of it.");
        _stop.Cancel();
        if (_running is not null) await _running;
    }

    private async Task StartAsync(StateDict initialModel)
    {
        RequireNotRun();
        Claim();
        IFederationLinks? links = null;
        try
        {
            links = _makeLinks(new(_settings.Time, _settings.CreateLogger()));
            Prepare(initialModel, links);
        }
        catch
        {
            if (links is not null) await CloseAsync(links);
            _parts.Release();
            foreach (var site in _sites) SiteFactory.Release(site);
            throw;
        }
    }

    private void RequireNotRun()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_running is not null)
            throw new InvalidOperationException("A federation runs once; build another for another run.");
    }

    private void Prepare(StateDict initialModel, IFederationLinks links)
    {
        var logger = _logger = _settings.CreateLogger();
        var loop = _loop = _settings.NewLoop(e => Runtime.Log.LoopException(logger, e));
        var link = links.ConnectServer(_settings.JobId, loop, _settings.Limits);
        var compute = _settings.NewCompute();
        var names = _sites.Select(s => s.Name).ToArray();
        var options = _parts.ToOptions(_settings, loop, link, initialModel, names, compute, logger);
        options = options with
        {
            WaitsForReader = true,
            Slots = new ExecutorSlots(_parallelism),
            NeverCalledAtSites = () => _sites.SelectMany(s => s.FiltersNeverCalled()),
            Descriptions = [.. options.Descriptions, new("executors at once", () => $"{_parallelism}")],
        };
        _server = new JobServer(options);
        _running = RunOnLoopAsync(loop, links, compute, logger, options);
    }

    // A workflow keeps its rounds' sums, and an executor is called once at a time: two runs at once would mix them up.
    private void Claim()
    {
        _parts.Claim();
        try
        {
            SiteFactory.Claim(_sites);
        }
        catch
        {
            _parts.Release();
            throw;
        }
    }

    private Task RunOnLoopAsync(
        SynchronizationContext loop, IFederationLinks links, ComputeScheduler compute, ILogger logger,
        JobServerOptions options)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        loop.Post(_ => _ = RunToEndAsync(), null);
        return done.Task;

        async Task RunToEndAsync()
        {
            Exception? failure = null;
            try
            {
                await RunAsync();
            }
            catch (Exception e)
            {
                failure = e;
            }
            await CloseAsync(links);
            if (failure is null) done.SetResult();
            else done.SetException(failure);
        }

        async Task RunAsync()
        {
            if (compute is ThreadPoolScheduler) ThreadPoolScheduler.ReserveThreads(_parallelism);
            var sites = _sites.Select(site => new SiteRuntime(site, new SiteRuntimeOptions
            {
                JobId = _settings.JobId,
                Seed = _settings.Seed,
                Loop = loop,
                Link = links.ConnectSite(_settings.JobId, site.Name, loop, e => Fail(loop, e)),
                Time = _settings.Time,
                Compute = compute,
                NewProcess = _settings.NewProcess,
                Logger = logger,
                Limits = _settings.Limits,
                Slots = options.Slots,
                IsInProcess = true,
                Policy = SitePolicy.InProcess,
                PolicyFingerprint = options.PolicyFingerprint,
                State = _state?.Of(site.Name) is { } state
                    ? () => state.OpenAsync(_settings.JobId, site.Name, compute) : null,
                StateStartsOver = _state is { StartsOver: true },
            })).ToArray();
            _atWork.AddRange(sites);
            var running = _server!.RunAsync(_stop.Token);
            foreach (var site in sites) site.Start();
            await running;
            // A job that failed before it heard its sites, or that they did not hear the end of, leaves none of them at
            // work, and the run ends at each.
            Task[] left = [.. sites.Select(s => s.LeaveAsync())];
            foreach (var site in left) await site;
            _parts.Release();
            for (var i = 0; i < sites.Length; i++) _ = ReleaseOnceIdleAsync(_sites[i], sites[i]);
        }
    }

    // The run has its end already; whoever disposes of the federation hears of it.
    private async Task CloseAsync(IFederationLinks links)
    {
        try
        {
            await links.DisposeAsync();
        }
        catch (Exception e)
        {
            Runtime.Log.LinksNotClosed(_logger, e);
            _linksFailure = e;
        }
    }

    // A site that can never come would be waited for: the job is aborted, and says why.
    private void Fail(SynchronizationContext loop, FlareException error) => loop.Post(_ =>
    {
        Runtime.Log.LoopException(_logger, error);
        _failure ??= error;
        _stop.Cancel();
    }, null);

    private static async Task ReleaseOnceIdleAsync(SiteDefinition site, SiteRuntime runtime)
    {
        await runtime.IdleAsync();
        SiteFactory.Release(site);
    }
}
