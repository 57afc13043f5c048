using System.Collections.Concurrent;

namespace Flare;

/// <summary>Hands the events of one side of a run to its components, and sends those that are for the other.</summary>
/// <param name="components">Who sees the events, in this order.</param>
internal sealed class EventBus(IReadOnlyList<FLComponent> components)
{
    private readonly Lock _dispatch = new();
    private readonly ConcurrentQueue<(string EventType, FLContext Context)> _announced = new();

    /// <summary>
    /// Whether an event that is announced while a handler is at work on another thread is left to that thread. For
    /// sites: a handler that takes its time in one site's task must not hold up the loop, and all other sites with it.
    /// Not for a server: its handlers use what is the loop's.
    /// </summary>
    public bool HandsOver { get; init; }

    /// <summary>The way to the other side; none in a unit test, where nobody is there.</summary>
    public FederatedOutbox? Outbox { get; init; }

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
            // See RunSide.Panic.
        }
    }

    /// <summary>
    /// Announces an event of the other side, the context's peer, unless it is one of the runtime's: those are not taken
    /// from elsewhere.
    /// </summary>
    public void AnnounceFederated(string eventType, FLContext context, Shareable data, long sequence)
    {
        var origin = context.Peer!;
        if (EventTypes.IsRuntimes(eventType))
        {
            Log.EventRefused(context.Logger, context.Identity, origin, eventType);
            return;
        }
        context.Set(ContextKeys.EventData, data);
        context.Set(ContextKeys.EventOrigin, origin);
        context.Set(ContextKeys.EventSequence, sequence);
        Announce(eventType, context);
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
                // See RunSide.Panic.
            }
            finally
            {
                _dispatch.Exit();
            }
        }
    }

    private void Dispatch(string eventType, FLContext context)
    {
        if (components.Count == 0) return;
        var logger = context.Scoped;
        using var scope = logger.Enter();
        for (var i = 0; i < components.Count; i++)
        {
            var component = components[i];
            try
            {
                component.HandleEvent(eventType, context);
            }
            catch (Exception e) when (e is not FlarePanicException)
            {
                Log.EventHandlerFailed(logger, e, context.Identity, component.GetType().Name, eventType);
            }
        }
    }
}
