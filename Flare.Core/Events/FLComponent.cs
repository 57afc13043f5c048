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
}
