using Microsoft.Extensions.Logging;

namespace Flare.Workflows;

/// <summary>A run as the aggregator of one named set sees it: its model is the set's global value.</summary>
internal sealed class SetContext(ControllerContext context, string set) : ControllerContext
{
    public override StateDict Model => context.State.Tensors[set];

    public override string JobId => context.JobId;
    public override ulong Seed => context.Seed;
    public override IReadOnlyList<string> Sites => context.Sites;
    public override int WorkflowNumber => context.WorkflowNumber;
    public override int LastCommittedRound => context.LastCommittedRound;
    public override RoundReport? LastReport => context.LastReport;
    public override RunState State => context.State;
    public override FLContext Context => context.Context;
    public override TimeProvider Time => context.Time;
    public override ComputeScheduler Compute => context.Compute;
    public override ILogger Logger => context.Logger;
    public override int MaxConcurrentUploads => context.MaxConcurrentUploads;

    public override Aggregator CreateAggregator(Func<Aggregator> otherwise) => otherwise();

    public override TaskResponses BroadcastAsync(
        FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default) =>
        context.BroadcastAsync(task, options, abort);

    public override TaskResponses BroadcastUntilCancelledAsync(
        FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default) =>
        context.BroadcastUntilCancelledAsync(task, timeout, abort);

    public override Task<Contribution> SendAsync(
        FlareTask task, SendOptions options, CancellationToken abort = default) =>
        context.SendAsync(task, options, abort);

    public override IAsyncEnumerable<Contribution> RelayAsync(
        Func<Contribution?, FlareTask> makeTask, RelayOptions? options = null, CancellationToken abort = default) =>
        context.RelayAsync(makeTask, options, abort);

    public override Task<RoundReport> CommitAsync(
        int round, StateDict model, RoundResult result, CancellationToken abort = default) =>
        context.CommitAsync(round, model, result, abort);

    public override void BeginRoundAgain(int round) => context.BeginRoundAgain(round);

    public override void Fire(string eventType, Contribution contribution) => context.Fire(eventType, contribution);

    public override void Fire(string eventType, int round, StateDict model) => context.Fire(eventType, round, model);
}
