using Microsoft.Extensions.Logging;

namespace Flare.Workflows;

/// <summary>A run as the aggregator of one named set sees it: its model is the set's global value.</summary>
internal sealed class SetContext(ControllerContext federation, string set) : ControllerContext
{
    public override StateDict Model => federation.State.Tensors[set];

    public override string JobId => federation.JobId;
    public override ulong Seed => federation.Seed;
    public override IReadOnlyList<string> Sites => federation.Sites;
    public override int WorkflowNumber => federation.WorkflowNumber;
    public override int LastCommittedRound => federation.LastCommittedRound;
    public override RoundReport? LastReport => federation.LastReport;
    public override RunState State => federation.State;
    public override FLContext Context => federation.Context;
    public override TimeProvider Time => federation.Time;
    public override ComputeScheduler Compute => federation.Compute;
    public override ILogger Logger => federation.Logger;
    public override int MaxConcurrentUploads => federation.MaxConcurrentUploads;

    public override Aggregator CreateAggregator(Func<Aggregator> otherwise) => otherwise();

    public override TaskResponses BroadcastAsync(
        FlareTask task, BroadcastOptions? options = null, CancellationToken abort = default) =>
        federation.BroadcastAsync(task, options, abort);

    public override TaskResponses BroadcastUntilCancelledAsync(
        FlareTask task, TimeSpan? timeout = null, CancellationToken abort = default) =>
        federation.BroadcastUntilCancelledAsync(task, timeout, abort);

    public override Task<Contribution> SendAsync(
        FlareTask task, SendOptions options, CancellationToken abort = default) =>
        federation.SendAsync(task, options, abort);

    public override IAsyncEnumerable<Contribution> RelayAsync(
        Func<Contribution?, FlareTask> makeTask, RelayOptions? options = null, CancellationToken abort = default) =>
        federation.RelayAsync(makeTask, options, abort);

    public override Task<RoundReport> CommitAsync(
        int round, StateDict model, RoundResult result, CancellationToken abort = default) =>
        federation.CommitAsync(round, model, result, abort);

    public override void BeginRoundAgain(int round) => federation.BeginRoundAgain(round);

    public override void Fire(string eventType, Contribution contribution) => federation.Fire(eventType, contribution);

    public override void Fire(string eventType, int round, StateDict model) => federation.Fire(eventType, round, model);
}
