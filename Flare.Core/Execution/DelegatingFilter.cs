namespace Flare;

/// <summary>
/// A filter that wraps another, to do something before or after it. What is not overridden goes on to the wrapped one:
/// messages, events, disposal.
/// </summary>
public abstract class DelegatingFilter : Filter, IAsyncDisposable
{
    /// <summary>Wraps a filter.</summary>
    /// <param name="inner">What is wrapped; it is this filter's from now on, which disposes of it.</param>
    protected DelegatingFilter(Filter inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        Inner = inner;
    }

    /// <summary>What is wrapped.</summary>
    protected Filter Inner { get; }

    internal sealed override FLComponent Wrapped => Inner;

    /// <inheritdoc/>
    public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort) =>
        Inner.ProcessAsync(message, context, abort);

    /// <inheritdoc/>
    protected internal override void HandleEvent(string eventType, FLContext context) =>
        Inner.HandleEvent(eventType, context);

    /// <summary>Disposes of the wrapped filter. Call it from an override.</summary>
    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return Disposal.DisposeAsync(Inner);
    }
}
