using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare;

/// <summary>
/// What one side of a run shares among its components: identity, clock, properties that outlive a context, and event
/// dispatch.
/// </summary>
internal sealed class RunEngine
{
    private readonly Dictionary<string, ContextProperty> _properties = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private readonly Lock _dispatch = new();
    private readonly ConcurrentQueue<(string EventType, FLContext Context)> _announced = new();
    private readonly ILogger _sink = NullLogger.Instance;
    private ScopedLogger? _logger;
    private int _panicked;

    public required string Identity { get; init; }
    public required string JobId { get; init; }
    public required ulong Seed { get; init; }
    public required TimeProvider Time { get; init; }

    /// <summary>Where to log; what is read is in the scope of the job and, at a site, the site.</summary>
    public required ILogger Logger { get => Scoped; init => _sink = value; }

    public ScopedLogger Scoped => _logger ??= ScopedLogger.Of(_sink, JobId, IsServer ? null : Identity);

    public bool IsServer => Identity == FLContext.Server;

    public required ComputeScheduler Compute { get; init; }
    public required IReadOnlyList<FLComponent> Components { get; init; }

    /// <summary>
    /// Whether an event that is announced while a handler is at work on another thread is left to that thread. For
    /// sites: a handler that takes its time in one site's task must not hold up the loop, and all other sites with it.
    /// Not for a server: its handlers use what is the loop's.
    /// </summary>
    public bool HandsOver { get; init; }

    /// <summary>Sends an event to the other side.</summary>
    public Action<string, Shareable> SendFederated { get; private set; } = static (_, _) => { };

    /// <summary>
    /// Has events for the other side sent on the loop, in the order in which they were fired, whatever thread fires
    /// them.
    /// </summary>
    /// <param name="loop">The loop.</param>
    /// <param name="send">Sends one.</param>
    /// <param name="limit">How many may wait for the loop, which may be busy; further ones are dropped.</param>
    /// <param name="dropped">Told of one that is dropped, on the thread that fired it.</param>
    public void SendFederatedOn(
        SynchronizationContext loop, Action<string, Shareable> send, int limit, Action<string> dropped)
    {
        var waiting = 0;
        // Not in the closure of what is posted: that the loop runs it in order of posting is the loop's business.
        var fired = new ConcurrentQueue<(string Type, Shareable Data)>();
        SendFederated = (type, data) =>
        {
            if (Interlocked.Increment(ref waiting) > limit && type != EventTypes.SitePanic)
            {
                Interlocked.Decrement(ref waiting);
                dropped(type);
                return;
            }
            fired.Enqueue((type, data));
            loop.Post(_ =>
            {
                Interlocked.Decrement(ref waiting);
                if (fired.TryDequeue(out var e)) send(e.Type, e.Data);
            }, null);
        };
    }

    /// <summary>
    /// Stops the job with a reason, from any thread; set by the server or site that owns this engine.
    /// </summary>
    public Action<string> StopJob { get; set; } = static _ => { };

    /// <summary>
    /// Stops the job by itself: what becomes of the exception, which only ends the caller, does not matter.
    /// </summary>
    public FlarePanicException Panic(string reason, FLContext context)
    {
        if (Interlocked.Exchange(ref _panicked, 1) == 0)
        {
            StopJob(reason);
            Announce(EventTypes.FatalSystemError, context);
        }
        return new FlarePanicException(Identity, reason);
    }

    public bool TryGetRunProperty(string name, out ContextProperty property)
    {
        lock (_gate) return _properties.TryGetValue(name, out property!);
    }

    public void SetRunProperty(string name, ContextProperty property)
    {
        lock (_gate) _properties[name] = property;
    }

    public FlareMap? PublicRunProperties()
    {
        lock (_gate)
        {
            FlareMap? map = null;
            foreach (var (name, property) in _properties)
                if (property.Visibility == PropertyVisibility.Public)
                    (map ??= [])[name] = PublicValue.From(property.Value);
            return map;
        }
    }

    /// <summary>Has every component handle an event, here and now.</summary>
    public void Fire(string eventType, FLContext context)
    {
        try
        {
            // A site's tasks run off the loop while federated events arrive on it: handlers never run side by side.
            lock (_dispatch) Dispatch(eventType, context);
        }
        finally
        {
            DispatchAnnounced();
        }
    }

    /// <summary>
    /// Has every component handle an event where nobody is to be stopped by a panic of a handler: it has stopped the
    /// job already.
    /// </summary>
    public void Announce(string eventType, FLContext context)
    {
        if (HandsOver)
        {
            _announced.Enqueue((eventType, context));
            DispatchAnnounced();
            return;
        }
        try
        {
            Fire(eventType, context);
        }
        catch (FlarePanicException)
        {
            // See Panic.
        }
    }

    private void DispatchAnnounced()
    {
        // Whoever leaves the lock looks once more: an event that found it taken must not wait for the next one.
        while (!_announced.IsEmpty && _dispatch.TryEnter())
        {
            try
            {
                if (_announced.TryDequeue(out var next)) Dispatch(next.EventType, next.Context);
            }
            catch (FlarePanicException)
            {
                // See Panic.
            }
            finally
            {
                _dispatch.Exit();
            }
        }
    }

    private void Dispatch(string eventType, FLContext context)
    {
        if (Components.Count == 0) return;
        using var scope = context.Scoped.Enter();
        for (var i = 0; i < Components.Count; i++)
        {
            var component = Components[i];
            try
            {
                component.HandleEvent(eventType, context);
            }
            catch (Exception e) when (e is not FlarePanicException)
            {
                Log.EventHandlerFailed(Logger, e, Identity, component.GetType().Name, eventType);
            }
        }
    }

    /// <summary>
    /// Announces an event of the other side, unless it is one of the runtime's: those are not taken from elsewhere.
    /// </summary>
    public void AnnounceFederated(string eventType, Shareable data, long sequence, string origin)
    {
        if (EventTypes.IsRuntimes(eventType))
        {
            Log.EventRefused(Logger, Identity, origin, eventType);
            return;
        }
        var context = new FLContext(this, origin);
        context.Set(ContextKeys.EventData, data);
        context.Set(ContextKeys.EventOrigin, origin);
        context.Set(ContextKeys.EventSequence, sequence);
        Announce(eventType, context);
    }
}
