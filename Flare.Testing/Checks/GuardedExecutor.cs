namespace Flare.Testing;

/// <summary>
/// Sees to it that the runtime keeps its word to an executor: one task at a time, and none once the run has ended.
/// </summary>
internal sealed class GuardedExecutor(
    Executor inner, string site, TimeProvider time, TimeSpan abortGrace, Action<string> fail)
    : DelegatingExecutor(inner)
{
    private (CancellationToken Abort, long? AbortedAt)? _running;
    private bool _ended;

    public override async ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort)
    {
        if (_ended) fail($"{site} was given task '{taskName}' of round {context.Round} after its run had ended");
        if (_running is not null)
            fail($"{site} was given task '{taskName}' of round {context.Round} while another one ran");
        _running = (abort, null);
        using var registration = abort.Register(
            () => { if (_running is { AbortedAt: null }) _running = (abort, time.GetTimestamp()); });
        try
        {
            return await base.ExecuteAsync(taskName, input, context, abort);
        }
        finally
        {
            _running = null;
        }
    }

    protected override ValueTask EndRunAsync(FLContext context)
    {
        if (_ended) fail($"{site} was told twice that its run has ended");
        // An executor that ignores its abort is abandoned after the grace; the run ends without it.
        if (_running is { } running && (running.AbortedAt is not { } at || time.GetElapsedTime(at) < abortGrace))
            fail($"{site} was told that its run has ended while its executor was at work");
        _ended = true;
        return base.EndRunAsync(context);
    }
}
