using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/writing-workflows.md, compiled and run.</summary>
public class WritingWorkflowsTests
{
    private sealed class MedianOfSites(int rounds) : Controller
    {
        protected override async Task RunAsync(ControllerContext context, CancellationToken abort)
        {
            using var median = new CoordinateMedian();
            for (var round = context.LastCommittedRound + 1; round <= rounds; round++)   // after a resume: where it left off
            {
                var task = FlareTask.Train(round, context.Model);
                median.Begin(context, round);
                var options = new BroadcastOptions { MinResponses = 5, Grace = TimeSpan.FromMinutes(1), Timeout = TimeSpan.FromHours(1) };
                await foreach (var contribution in context.BroadcastAsync(task, options, abort))
                    await median.AcceptAsync(contribution, abort);
                await context.CommitAsync(round, await median.CompleteAsync(abort), abort);
            }
        }
    }

    internal sealed class MeanAge : Controller
    {
        public double Result { get; private set; }

        protected override async Task RunAsync(ControllerContext context, CancellationToken abort)
        {
            var task = new FlareTask("ages", round: 0, new Shareable()) { Contract = new() { Kinds = [DataKind.Metrics] } };
            var (sum, count) = (0.0, 0.0);
            await foreach (var answer in context.BroadcastAsync(task, abort: abort))
                (sum, count) = (sum + answer.Metrics!["sum"].AsNumber(), count + answer.Metrics["count"].AsNumber());
            Result = sum / count;
        }
    }

    private sealed class Cyclic(int rounds) : Controller
    {
        protected override async Task RunAsync(ControllerContext context, CancellationToken abort)
        {
            for (var round = context.LastCommittedRound + 1; round <= rounds; round++)
            {
                var (number, model) = (round, context.Model);
                var options = new RelayOptions { ResultTimeout = TimeSpan.FromMinutes(10) };
                await foreach (var answer in context.RelayAsync(_ => FlareTask.Train(number, model), options, abort))
                    model = answer.ToWeights();
                await context.CommitAsync(round, model, abort);
            }
        }
    }

    private sealed class TwoAtOnce : Controller
    {
        protected override async Task RunAsync(ControllerContext context, CancellationToken abort)
        {
            async Task<StateDict> MedianAsync(TaskResponses responses)
            {
                using var median = new CoordinateMedian();
                median.Begin(context, round: 1);
                await foreach (var contribution in responses) await median.AcceptAsync(contribution, abort);
                return await median.CompleteAsync(abort);
            }

            var trained = MedianAsync(context.BroadcastAsync(FlareTask.Train(1, context.Model), abort: abort));
            var own = MedianAsync(context.BroadcastAsync(new(TaskNames.SubmitModel, 1, new Shareable()), abort: abort));
            var model = await trained;                              // both tasks are on their way, and both are being read
            context.State.Tensors["own"] = await own;
            await context.CommitAsync(1, model, abort);
        }
    }

    private sealed class Nesterov(double beta) : ServerOptimizer
    {
        protected override void TakeStep(StateDict parameters, StateDict delta, OptimizerState state)
        {
            var velocity = state.Take("velocity", parameters.Layout);       // zeros at first
            velocity.ScaleInPlace(beta);
            velocity.AddInPlace(delta);                                     // v = βv + Δ
            parameters.AddInPlace(delta);
            parameters.AddScaledInPlace(velocity, beta);                    // w = w + Δ + βv
            state.Keep("velocity", velocity);
        }
    }

    private static async Task OthersAsync(ControllerContext context, FlareTask task, CancellationToken abort)
    {
        using var answer = await context.SendAsync(task, new() { Targets = context.Sites, Order = SendOrder.Any }, abort);
        var initial = answer.ToWeights();

        var seen = 0L;
        await foreach (var report in context.BroadcastUntilCancelledAsync(new("collect", 0, new Shareable()), timeout: TimeSpan.FromHours(1), abort: abort))
            if ((seen += report.NumSteps ?? 0) >= 10_000) break;

        Assert.That((initial.Values()[0], seen), Is.EqualTo((3f, 10_000L)));
    }

    private static float[] ModelOf(Federation run) => run.Model.Values();

    [Test]
    public async Task The_median_is_taken_in_every_round() =>
        Assert.That(ModelOf(await Sites.RunAsync(new MedianOfSites(2), Sites.Model(0), [.. new float[] { 1, 2, 3, 4, 1e9f }.Select(a => Sites.Adding(a))])), Is.EqualTo(new[] { 6f }));

    [Test]
    public async Task The_model_goes_round() => Assert.That(ModelOf(await Sites.RunAsync(new Cyclic(2), Sites.Model(0), Sites.Adding(1), Sites.Adding(10))), Is.EqualTo(new[] { 22f }));

    [Test]
    public async Task Momentum_is_kept_from_round_to_round() => Assert.That(
        ModelOf(await Sites.RunAsync(new FedAvg { Rounds = 3, Optimizer = new Nesterov(0.5), Validation = ValidationMode.None }, Sites.Model(0), Sites.Adding(1))),
        Is.EqualTo(new[] { 3 + 0.5f * (1 + 1.5f + 1.75f) }));

    [Test]
    public async Task A_round_is_composed_of_parts()
    {
        Scripted Site() => new((task, input, _, _) => ValueTask.FromResult(task == TaskNames.Validate
            ? Dxo.Metrics(("loss", -Dxo.From(input).Tensors.Values()[0])).ToShareable()
            : Both(Dxo.From(input)).ToShareable()));
        FedAvg workflow = new()
        {
            Rounds = 3,
            Sampling = SiteSampling.Uniform(1),                         // who takes part
            Optimizer = new Nesterov(beta: 0.5),                        // what the server does with the aggregate
            Sets = [new TensorSet("control")],                          // what goes round beside the model
            Selection = new ModelSelection("loss"),                     // which model is kept: by its name, the lowest
        };
        var run = await Sites.RunAsync(workflow, Sites.Model(0), Site(), Site());

        static Dxo Both(Dxo input)
        {
            var (diff, control) = (new StateDict(input.Set(Dxo.ModelSet).Tensors.Layout), new StateDict(input.Set("control").Tensors.Layout));
            diff.Fill(1);
            control.Fill(10);
            return Dxo.WeightDiff(diff).WithSet("control", Dxo.WeightDiff(control)).WithMeta(MetaKey.NumStepsCurrentRound, 1);
        }

        Assert.That((ModelOf(run)[0], run.State.Tensors["control"].Values()[0]), Is.EqualTo((3 + 0.5f * (1 + 1.5f + 1.75f), 30f)));
        Assert.That(run.Rounds.Select(r => (r.Targets, r.IsBest)), Is.All.EqualTo((1, true)));
    }

    [Test]
    public async Task Two_tasks_with_large_answers_are_read_side_by_side()
    {
        Scripted site(float own) => new((task, input, _, _) => ValueTask.FromResult(task == TaskNames.Train ? Sites.Diff(Dxo.From(input).Tensors, 1) : Dxo.Weights(Sites.Model(own)).ToShareable()));
        var run = await Sites.RunAsync(new TwoAtOnce(), Sites.Model(0), f => f.UseLimits(new() { MaxConcurrentUploads = 1, SmallResultBytes = 0 }), site(5), site(6), site(7));
        Assert.That((ModelOf(run)[0], run.State.Tensors["own"].Values()[0]), Is.EqualTo((1f, 6f)));
    }

    [Test]
    public async Task One_site_of_many_answers_and_all_sites_answer_again_and_again()
    {
        static Scripted site() => new((task, _, _, _) => ValueTask.FromResult(task == "collect"
            ? Dxo.Metrics(("samples", 100)).WithMeta(MetaKey.NumStepsCurrentRound, 100).ToShareable()
            : Dxo.Weights(Sites.Model(3)).ToShareable()));
        await Sites.RunAsync(new Workflow((context, abort) => OthersAsync(context, new(TaskNames.GetWeights, 0, new Shareable()), abort)), Sites.Model(0), site(), site());
    }
}
