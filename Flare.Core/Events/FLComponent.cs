namespace Flare;

/// <summary>
/// Anything of a job that sees its events (FLARE: FLComponent): executors, controllers, filters, aggregators, and
/// components of the application's own. Each instance gets its events, in the order in which the components were added.
/// </summary>
public abstract class FLComponent
{
    /// <summary>
    /// Called for every event of this side. It runs at once, on the thread that fires; keep it short. An exception is
    /// logged and stops nothing; <see cref="FLContext.Panic"/> stops the job.
    /// </summary>
    /// <param name="eventType">One of <see cref="EventTypes"/>, or the application's own.</param>
    /// <param name="context">What the event is about.</param>
    protected internal virtual void HandleEvent(string eventType, FLContext context) { }

    /// <summary>
    /// Whether one instance may be a part of several sites at once, and of several federations. False unless
    /// overridden: each site has its own, and a shared one is refused when the federation is built, since what it keeps
    /// (noise that it draws, a budget that it spends, a count) would be that of all sites together. True is right for
    /// one that keeps nothing from call to call, or is meant to gather from all sites and takes calls from many
    /// threads.
    /// </summary>
    public virtual bool CanBeShared => false;

    /// <summary>What this one passes its calls on to; null where there is nothing.</summary>
    internal virtual FLComponent? Wrapped => null;

    private object? _owner;

    /// <summary>Takes it for a site or a job; false where another has it.</summary>
    internal bool TryClaim(object owner) =>
        Interlocked.CompareExchange(ref _owner, owner, null) is var had && (had is null || had == owner);

    /// <summary>Gives it back, where this one has it.</summary>
    internal void Release(object owner) => Interlocked.CompareExchange(ref _owner, null, owner);
}
