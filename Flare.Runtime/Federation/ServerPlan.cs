using Flare.Runtime;

namespace Flare;

/// <summary>
/// What a <see cref="ServerBuilder"/> has put together: it lacks a loop and a link to be a server. It does not change
/// any more, and owns what the builder has taken over: dispose of it once the server's run has ended.
/// </summary>
public sealed class ServerPlan : IAsyncDisposable
{
    private readonly JobSettings _settings;
    private readonly ServerParts _parts;
    private readonly IReadOnlyList<string> _sites;
    private readonly StateDict _initialModel;
    private readonly bool _isRosterClosed;
    private bool _isUsed;
    private bool _isDisposed;

    internal ServerPlan(
        JobSettings settings, ServerParts parts, IReadOnlyList<string> sites, StateDict initialModel,
        bool isRosterClosed)
    {
        (_settings, _parts, _sites, _initialModel) = (settings, parts, sites, initialModel);
        _isRosterClosed = isRosterClosed;
    }

    /// <summary>The job's id.</summary>
    public string JobId => _settings.JobId;

    /// <summary>The runtime's limits and intervals.</summary>
    public RuntimeLimits Limits => _settings.Limits;

    /// <summary>Makes a loop for the server: a <see cref="JobLoop"/>, unless a test has its own.</summary>
    /// <param name="unhandled">Receives the exception of a callback that threw; the loop goes on.</param>
    public SynchronizationContext CreateLoop(Action<Exception> unhandled)
    {
        ArgumentNullException.ThrowIfNull(unhandled);
        return _settings.NewLoop(unhandled);
    }

    /// <summary>Makes the server, which does nothing until <see cref="JobServer.RunAsync"/>. Once.</summary>
    /// <param name="loop">The loop that the job's state belongs to; of <see cref="CreateLoop"/>.</param>
    /// <param name="link">The server's end of the transport.</param>
    /// <exception cref="InvalidOperationException">It has made a server already.</exception>
    /// <exception cref="ObjectDisposedException">The plan is disposed of.</exception>
    /// <exception cref="FlareException">A workflow is at work in another job.</exception>
    public JobServer CreateServer(SynchronizationContext loop, IServerLink link)
    {
        ArgumentNullException.ThrowIfNull(loop);
        ArgumentNullException.ThrowIfNull(link);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_isUsed) throw new InvalidOperationException("A plan makes one server; build another for another one.");
        _parts.Claim();
        try
        {
            var compute = _settings.NewCompute();
            var options = _parts.ToOptions(
                _settings, loop, link, _initialModel, _sites, compute, _settings.CreateLogger());
            var server = new JobServer(options with { IsRosterClosed = _isRosterClosed });
            _isUsed = true;
            return server;
        }
        catch
        {
            _parts.Release();
            throw;
        }
    }

    /// <summary>What an extension added to the server.</summary>
    /// <exception cref="InvalidOperationException">None was added of this type.</exception>
    public T Feature<T>() where T : class => _settings.Feature<T>("server");

    /// <summary>Disposes of features that the builder took over, and of a journal's storage that no server has opened.
    /// Once the server's run has ended.</summary>
    /// <exception cref="AggregateException">Some of what was disposed of threw.</exception>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed) return; // the workflows may be another job's by now
        _isDisposed = true;
        if (_isUsed) _parts.Release();
        await Disposal.DisposeAllAsync([.. _settings.Owned, .. _parts.Journal?.Unopened() ?? []]);
    }
}
