namespace Flare.Tests.Federations;

/// <summary>A controller of one lambda.</summary>
internal sealed class Workflow(Func<ControllerContext, CancellationToken, Task> body) : Controller
{
    protected override Task RunAsync(ControllerContext federation, CancellationToken abort) => body(federation, abort);
}

/// <summary>A filter of one lambda.</summary>
internal sealed class LambdaFilter(Func<Shareable, FLContext, Shareable> process) : Filter
{
    public override bool CanBeShared => true; // by lambdas that lock what they keep

    public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort) =>
        ValueTask.FromResult(process(message, context));
}

/// <summary>A component of one lambda.</summary>
internal sealed class LambdaComponent(Action<string, FLContext> handle) : FLComponent
{
    public override bool CanBeShared => true; // by lambdas that lock what they keep

    protected internal override void HandleEvent(string eventType, FLContext context) => handle(eventType, context);
}

/// <summary>Writes down every event that it gets.</summary>
internal sealed class EventRecorder : FLComponent
{
    private readonly Lock _gate = new();
    private readonly List<(string Identity, string Type, string? Peer)> _events = [];

    public IReadOnlyList<(string Identity, string Type, string? Peer)> Events
    {
        get
        {
            lock (_gate) return [.. _events];
        }
    }

    public override bool CanBeShared => true;

    public IEnumerable<string> Types => Events.Select(e => e.Type);

    protected internal override void HandleEvent(string eventType, FLContext context)
    {
        lock (_gate) _events.Add((context.Identity, eventType, context.Peer));
    }
}
