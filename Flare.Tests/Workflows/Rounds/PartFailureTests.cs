using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Workflows;

/// <summary>What a workflow or a part of it throws is told with its name, the round and the job.</summary>
public class PartFailureTests
{
    private sealed class Broken : SiteSampling
    {
        public override IReadOnlyList<string> Choose(ControllerContext context, int round) =>
            round == 2 ? throw new KeyNotFoundException("no such ward") : context.Sites;
    }

    private sealed class Nobody : SiteSampling
    {
        public override IReadOnlyList<string> Choose(ControllerContext context, int round) => null!;
    }

    private sealed class Growing : ServerOptimizer
    {
        protected override void TakeStep(StateDict parameters, StateDict delta, OptimizerState state) =>
            throw new DivideByZeroException("beta is 1");
    }

    private sealed class Losing(string where) : Aggregator
    {
        public override bool NeedsSingleUpdates => false;

        public override void Begin(ControllerContext context, int round) => Throw(nameof(Begin));

        public override ResultContract Refine(ResultContract contract)
        {
            Throw(nameof(Refine));
            return contract;
        }

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            Throw(nameof(AcceptAsync));
            return ValueTask.CompletedTask;
        }

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort)
        {
            Throw(nameof(CompleteAsync));
            return ValueTask.FromResult<StateDict>(null!);
        }

        private void Throw(string at)
        {
            if (at == where) throw new TimeoutException(at);
        }
    }

    private sealed class Asking : RoundTask
    {
        public override Dxo CreateData(ControllerContext context, int round) => throw new FormatException("asking");
    }

    private sealed class Measuring : Evaluation
    {
        public override Task<Measurement> MeasureAsync(
            ControllerContext context, int round, StateDict model, IReadOnlyList<string> sites,
            CancellationToken abort) => throw new FileNotFoundException("measuring");
    }

    private static FedAvg Of(
        SiteSampling? sampling = null, ServerOptimizer? optimizer = null, Aggregator? aggregator = null,
        Evaluation? evaluation = null, RoundTask? task = null) => new()
        {
            Rounds = 3, Sampling = sampling, Optimizer = optimizer, Aggregator = aggregator, Evaluation = evaluation,
            RoundTask = task ?? new(),
        };

    private static readonly TestCaseData[] Failures =
    [
        new(() => Of(sampling: new Broken()), "The sampling Broken", "in round 2", typeof(KeyNotFoundException)),
        new(() => Of(sampling: new Nobody()), "The sampling Nobody", "round 1", typeof(InvalidOperationException)),
        new(() => Of(optimizer: new Growing()), "The optimizer Growing", "in round 1", typeof(DivideByZeroException)),
        new(() => Of(aggregator: new Losing("Begin")), "The aggregator Losing", "Begin", typeof(TimeoutException)),
        new(() => Of(aggregator: new Losing("Refine")), "The aggregator Losing", "Refine", typeof(TimeoutException)),
        new(() => Of(aggregator: new Losing("AcceptAsync")), "The aggregator Losing", "Accept",
            typeof(TimeoutException)),
        new(() => Of(aggregator: new Losing("CompleteAsync")), "The aggregator Losing", "Complete",
            typeof(TimeoutException)),
        new(() => Of(aggregator: new Losing("")), "The aggregator Losing", "null", typeof(InvalidOperationException)),
        new(() => Of(evaluation: new Measuring()), "The evaluation Measuring", "in round 1",
            typeof(FileNotFoundException)),
        new(() => Of(task: new Asking()), "The task Asking", "in round 1", typeof(FormatException)),
    ];

    [TestCaseSource(nameof(Failures))]
    public void A_part_that_throws_is_named_with_workflow_round_and_job(
        Func<FedAvg> make, string part, string words, Type cause)
    {
        var log = new LogRecorder();
        var error = Assert.ThrowsAsync<FlareException>(() => Sites.RunAsync(
            make(), Sites.Model(0), f => f.UseJobId("digits").UseLogging(log), Sites.Adding(1)))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.WorkflowFailed));
        Assert.That(
            error.Message, Does.StartWith($"{part} of the workflow FedAvg of job 'digits' failed").And.Contain(words)
                .And.Contain(cause.Name));
        Assert.That(error.InnerException, Is.TypeOf(cause));
        Assert.That(
            log.Entries.Where(e => e.Level == LogLevel.Error).Select(e => e.Message), Has.Some.Contains(part));
    }

    [Test]
    public void The_aggregator_of_a_set_is_named_with_the_set() => Assert.That(
        () => Sites.RunAsync(
            new FedAvg { Rounds = 1, Sets = [new("control") { Aggregator = new Losing("Begin") }] }, Sites.Model(0),
            Sites.Adding(1)),
        Throws.TypeOf<FlareException>().With.Message.Contains("The aggregator of the set 'control', Losing of the"));

    private sealed class Empty : Aggregator
    {
        private readonly CoordinateMedian _inner = new();

        public override bool NeedsSingleUpdates => true;
        public override void Begin(ControllerContext context, int round) => _inner.Begin(context, round);

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort) =>
            ValueTask.CompletedTask;

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => _inner.CompleteAsync(abort);
    }

    [Test]
    public void What_a_part_throws_that_is_Flares_keeps_its_id_and_gets_the_place()
    {
        var error = Assert.ThrowsAsync<FlareException>(() => Sites.RunAsync(
            new FedAvg { Rounds = 1, Aggregator = new Empty() }, Sites.Model(0), Sites.Adding(1)))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.NothingToAggregate));
        Assert.That(
            error.Message, Does.StartWith("The aggregator Empty of the workflow FedAvg of job 'job' failed in round 1: "
                + "There is nothing to take the median of").And.EndsWith(". [FLARE2002]"));
    }

    [Test]
    public void A_workflow_of_ones_own_is_named_with_the_round_that_it_was_in()
    {
        var before = Fails(_ => Task.CompletedTask);
        Assert.That(before.Message, Does.Contain("Workflow of job 'job' failed before its first round: ArithmeticEx"));
        var within = Fails(async context =>
        {
            await foreach (var _ in context.BroadcastAsync(FlareTask.Train(7, context.Model))) { }
        });
        Assert.That(within.Message, Does.Contain("failed in round 7: "));
        var after = Fails(context => context.CommitAsync(3, Sites.Model(1)));
        Assert.That(after.Message, Does.Contain("failed after round 3: "));
        Assert.That(after.InnerException, Is.TypeOf<ArithmeticException>());

        static FlareException Fails(Func<ControllerContext, Task> first) =>
            Assert.ThrowsAsync<FlareException>(() => Sites.RunAsync(
                new Workflow(async (context, _) =>
                {
                    await first(context);
                    throw new ArithmeticException("off by one");
                }), Sites.Model(0), Sites.Adding(1)))!;
    }

    [Test]
    public void A_cancellation_of_the_workflows_own_is_a_failure_and_no_abort() => Assert.That(
        () => Sites.RunAsync(
            new Workflow((_, _) => throw new TaskCanceledException("the request timed out")), Sites.Model(0),
            Sites.Adding(1)),
        Throws.TypeOf<FlareException>().With.Message.Contains("the request timed out")
            .And.Property("ErrorId").EqualTo(ErrorIds.WorkflowFailed));
}
