namespace Flare;

/// <summary>
/// An executor that wraps another, to do something before or after its tasks. What is not overridden goes on to the
/// wrapped one: tasks, events, the end of the run, disposal.
/// </summary>
public abstract class DelegatingExecutor : Executor, IAsyncDisposable
{
    /// <summary>Wraps an executor.</summary>
    /// <param name="inner">What is wrapped; it is this executor's from now on, which disposes of it.</param>
    protected DelegatingExecutor(Executor inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        Inner = inner;
    }

    /// <summary>What is wrapped.</summary>
    protected Executor Inner { get; }

    internal sealed override FLComponent Wrapped => Inner;

    /// <inheritdoc/>
    public override ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort) =>
        Inner.ExecuteAsync(taskName, input, context, abort);

    /// <inheritdoc/>
    protected internal override ValueTask EndRunAsync(FLContext context) => Inner.EndRunAsync(context);

    /// <inheritdoc/>
    protected internal override void HandleEvent(string eventType, FLContext context) =>
        Inner.HandleEvent(eventType, context);

    /// <summary>Disposes of the wrapped executor. Call it from an override.</summary>
    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return Disposal.DisposeAsync(Inner);
    }
}
