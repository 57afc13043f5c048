using Flare.Workflows;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/writing-trainers.md, compiled and run.</summary>
public class WritingTrainersTests
{
    internal sealed class LineTrainer(float[] x, float[] y) : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var trained = model.Tensors.Clone();                    // what the task brings is frozen: other sites read it, too
            var line = trained["line"].AsSpan<float>();             // slope, intercept
            var order = Enumerable.Range(0, x.Length).ToArray();
            context.Random("order").Shuffle(order);                 // same seed of the run, same bits
            foreach (var i in order)
            {
                abort.ThrowIfCancellationRequested();
                var error = line[0] * x[i] + line[1] - y[i];
                line[0] -= 0.1f * error * x[i];
                line[1] -= 0.1f * error;
            }
            trained.SubtractInPlace(model.Tensors);
            return ValueTask.FromResult(Dxo.WeightDiff(trained.HandOver(), steps: order.Length));
        }

        protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var line = model.Tensors["line"].AsReadOnlySpan<float>();
            var loss = 0.0;
            for (var i = 0; i < x.Length; i++) loss += Math.Pow(line[0] * x[i] + line[1] - y[i], 2) / x.Length;
            return ValueTask.FromResult(Dxo.Metrics(("loss", loss)).WithMeta(MetaKey.NumStepsCurrentRound, x.Length));
        }
    }

    private sealed class AgeStatistics(float[] ages) : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(string taskName, Shareable input, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(taskName == "ages"
                ? Dxo.Metrics(("sum", ages.Sum()), ("count", ages.Length)).ToShareable()
                : Shareable.Reply(ReturnCode.TaskUnknown));
    }

    [Test]
    public async Task Three_sites_find_a_line()
    {
        // Each site sees its own part of the line 2x + 1.
        float[][] x = [[0, 0.5f, 1], [1, 1.5f], [-1, -0.5f, 0]];
        float[] Y(float[] x) => [.. x.Select(v => 2 * v + 1)];

        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => new LineTrainer(x[site.Index], Y(x[site.Index])))
            .UseController(new FedAvg { Rounds = 200, MinSites = 3, Selection = new("loss") })
            .UseSeed(42));
        var rounds = await federation.RunToEndAsync(StateDict.Create(("line", [0, 0])));

        Assert.That(federation.Model["line"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 2f, 1f }).Within(0.01));
        Assert.That(rounds[^1].Metrics["loss"], Is.LessThan(1e-4).And.LessThan(rounds[0].Metrics["loss"]));
    }

    [Test]
    public async Task Sites_answer_a_task_of_their_own()
    {
        var workflow = new WritingWorkflowsTests.MeanAge();
        await using var federation = Federation.InProcess(f => f.AddSites(2, site => new AgeStatistics(site.Index == 0 ? [30, 40] : [80])).UseController(workflow));
        await federation.RunToEndAsync(StateDict.Create(("none", [0])));
        Assert.That(workflow.Result, Is.EqualTo(50));
    }
}
