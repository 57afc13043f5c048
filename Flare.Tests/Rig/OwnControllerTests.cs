using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig;

/// <summary>The README's example: an application tests its own controller.</summary>
public class OwnControllerTests
{
    [Test]
    public void Median_survives_whatever_happens([Range(1, 20)] int seed)
    {
        var simulation = new Simulation
        {
            Seed = (ulong)seed,
            Sites = 4,
            Executor = site => new PullTo(site.Index),
            Controllers = () => [new MedianOfSites(rounds: 3)],
            InitialModel = () => StateDict.Create(("w", [10, 20])),
            Check = run => run.Rounds.Count == 3 ? [] : [$"{run.Rounds.Count} rounds, not 3"],
        };

        var run = simulation.Run();

        Assert.That(run.Failures, Is.Empty, run.ToString());
        Assert.That(simulation.Run().TraceHash, Is.EqualTo(run.TraceHash));
    }

    [Test]
    public void The_README_shows_this_very_code()
    {
        static string[] Lines(string text) => [.. text.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0)];
        var folder = Path.Combine(AppContext.BaseDirectory, "Rig");
        var readme = File.ReadAllText(Path.Combine(folder, "README.md"));
        var shown = readme.Split("```csharp")[1..].SelectMany(block => Lines(block.Split("```")[0])).ToArray();
        Assert.That(shown, Has.Length.GreaterThan(10));
        Assert.That(shown.Except(Lines(File.ReadAllText(Path.Combine(folder, "OwnControllerTests.cs")))), Is.Empty);
    }

    private sealed class MedianOfSites(int rounds) : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            using var median = new CoordinateMedian();
            for (var round = federation.LastCommittedRound + 1; round <= rounds; round++)
            {
                var task = FlareTask.Train(round, federation.Model);
                median.Begin(federation, round);
                await foreach (var contribution in federation.BroadcastAsync(
                    task, new() { MinResponses = 2, Timeout = TimeSpan.FromMinutes(1) }, abort))
                    await median.AcceptAsync(contribution, abort);
                await federation.CommitAsync(round, await median.CompleteAsync(abort), abort);
            }
        }
    }

    private sealed class PullTo(float target) : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(200), context.Time, abort);
            var weights = Dxo.From(input).Tensors.Clone();
            foreach (ref var w in weights["w"].AsSpan<float>()) w = (w + target) / 2;
            return Dxo.Weights(weights).ToShareable();
        }
    }
}
