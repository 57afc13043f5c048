using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>
/// What a <see cref="SiteBuilder"/> has put together: it lacks a loop and a link to be a site. It does not change with
/// its builder any more, and owns what the factories made: dispose of it once the site has ended.
/// </summary>
public sealed class SitePlan : IAsyncDisposable
{
    private readonly JobSettings _settings;
    private readonly SiteDefinition _definition;
    private readonly ILogger _logger;
    private readonly SiteStateFolder? _state;
    private readonly string _layout;
    private SiteRuntime? _site;
    private bool _isDisposed;

    internal SitePlan(JobSettings settings, SiteDefinition definition, SiteStateFolder? state, string layout)
    {
        (_settings, _definition, _state, _layout) = (settings, definition, state, layout);
        _logger = settings.CreateLogger();
    }

    /// <summary>Asks the site's operator; null where nobody is asked.</summary>
    internal Func<JobToApprove, CancellationToken, ValueTask<JobDecision>>? Approve { get; init; }

    /// <summary>The job's id.</summary>
    public string JobId => _settings.JobId;

    /// <summary>The site's name.</summary>
    public string Name => _definition.Name;

    /// <summary>Makes a loop for the site: a <see cref="JobLoop"/>, unless a test has its own.</summary>
    /// <param name="unhandled">Receives the exception of a callback that threw; the loop goes on.</param>
    public SynchronizationContext CreateLoop(Action<Exception> unhandled)
    {
        ArgumentNullException.ThrowIfNull(unhandled);
        return _settings.NewLoop(unhandled);
    }

    /// <summary>Makes the site, which does nothing until <see cref="SiteRuntime.Start"/>. Once.</summary>
    /// <param name="loop">The loop that the site's state belongs to; of <see cref="CreateLoop"/>.</param>
    /// <param name="link">The site's end of the transport.</param>
    /// <param name="incarnation">How often this site has started, at least 1 and greater at every start; a clock or a
    /// counter on disk.</param>
    /// <exception cref="InvalidOperationException">It has made a site already.</exception>
    /// <exception cref="FlareException">The incarnation is below 1, or an executor is at work at another
    /// site.</exception>
    public SiteRuntime CreateSite(SynchronizationContext loop, ISiteLink link, long incarnation = 1)
    {
        ArgumentNullException.ThrowIfNull(loop);
        ArgumentNullException.ThrowIfNull(link);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_site is not null)
            throw new InvalidOperationException("A plan makes one site; build another for another one.");
        SiteFactory.Claim([_definition]);
        try
        {
            return _site = NewSite(loop, link, incarnation);
        }
        catch
        {
            SiteFactory.Release(_definition);
            throw;
        }
    }

    private SiteRuntime NewSite(SynchronizationContext loop, ISiteLink link, long incarnation)
    {
        var compute = _settings.NewCompute();
        return new SiteRuntime(_definition, new()
        {
            JobId = _settings.JobId,
            Seed = _settings.Seed,
            Loop = loop,
            Link = link,
            Time = _settings.Time,
            Compute = compute,
            NewProcess = _settings.NewProcess,
            Logger = _logger,
            Descriptions = _settings.Descriptions,
            Limits = _settings.Limits,
            Incarnation = incarnation,
            LayoutFingerprint = _layout,
            PolicyFingerprint = _settings.PolicyFingerprint,
            State = _state is { } state ? () => state.OpenAsync(_settings.JobId, Name, compute) : null,
            Approve = Approve,
            StateStartsOver = _state is { StartsOver: true },
        });
    }

    /// <summary>What an extension added to the site.</summary>
    /// <exception cref="InvalidOperationException">None was added of this type.</exception>
    public T Feature<T>() where T : class => _settings.Feature<T>("site");

    /// <summary>
    /// Disposes of features that the builder took over, and of executors, filters and components of the site. A site
    /// that has not ended leaves its job first (<see cref="SiteRuntime.LeaveAsync"/>), so its loop must run; what an
    /// executor uses that ignored its abort is disposed of once it has stopped.
    /// </summary>
    /// <exception cref="AggregateException">Some of what was disposed of threw.</exception>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        if (_site is { HasRunEnded: false }) await _site.LeaveAsync();
        var idle = _site?.IdleAsync() ?? Task.CompletedTask;
        if (!idle.IsCompleted) _ = SiteFactory.DisposeOnceIdleAsync(_definition, idle, _logger, _settings.JobId);
        if (_site is not null) _ = ReleaseOnceIdleAsync(idle);
        await Disposal.DisposeAllAsync([.. _settings.Owned, .. idle.IsCompleted ? _definition.Components : []]);
    }

    private async Task ReleaseOnceIdleAsync(Task idle)
    {
        await idle;
        SiteFactory.Release(_definition);
    }
}
