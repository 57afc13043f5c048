using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>A round that waits says for whom, and an operator can let it go on.</summary>
public class WaitingTests
{
    [Test]
    public async Task A_round_that_waits_names_whom_for_and_goes_on_without_them_when_an_operator_says_so()
    {
        var log = new LogRecorder();
        var waits = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        log.Recorded = entry => { if (entry.Message.Contains("has 2 of 3 answers", StringComparison.Ordinal))
            waits.TrySetResult(); };
        var asleep = new Scripted(async (_, _, _, abort) =>
        {
            await Task.Delay(Timeout.Infinite, abort);
            throw new InvalidOperationException("nobody wakes it");
        });
        Executor[] executors = [Sites.Adding(1), asleep, Sites.Adding(3)];
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => executors[site.Index])
            .UseController(new FedAvg { Rounds = 1, MinSites = 3, Validation = ValidationMode.None })
            .UseLimits(new() { ReminderInterval = TimeSpan.FromMilliseconds(50) })
            .UseLogging(log));
        var run = federation.RunToEndAsync(StateDict.Create(("w", [0f])));
        await waits.Task.WaitAsync(Patience.Long);
        Assert.That(
            log.Entries.Select(e => e.Message),
            Has.Some.Contains("has 2 of 3 answers").And.Some.Contains("s for site-2."));
        Assert.That(
            () => federation.GoOnWithoutAsync("site-9"), Throws.ArgumentException.With.Message.Contains("site-9"));
        Assert.That(await federation.GoOnWithoutAsync("site-2"), Is.EqualTo(1));
        var round = (await run.WaitAsync(Patience.Long)).Single();
        Assert.That((round.Accepted, round.Sites[1].Status), Is.EqualTo((2, SiteStatus.TimedOut)));
        Assert.That(round.Sites[1].Reason, Does.Contain("operator"));
        Assert.That(federation.Model["w"].ToArray<float>(), Is.EqualTo(new[] { 2f }));
    }
}
