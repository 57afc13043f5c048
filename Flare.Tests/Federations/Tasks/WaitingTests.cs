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

    [Test]
    public async Task A_wait_for_a_site_at_work_is_information_and_for_one_that_is_not_there_a_warning()
    {
        var log = new LogRecorder();
        var (time, gate) = (new ManualTime(), new TaskCompletionSource());
        var plan = new ServerBuilder().AddSites("site-1", "site-2").UseController(Sites.Training(minSites: 2))
            .UseInitialModel(Sites.Model(0)).UseLogging(log).UseTime(time)
            .UseLimits(new() { SiteLease = TimeSpan.FromDays(1) });
        await using var running = new Side(
            plan, new SiteBuilder("site-1").UseExecutor(() => Sites.Adding(1)));
        var reminder = new RuntimeLimits().ReminderInterval;
        Assert.That(await NextLevelAsync("(not there)"), Is.EqualTo(LogLevel.Warning));

        await using var both = Federation.InProcess(f => f
            .AddSites(1, _ => Sites.Gated(gate.Task, 1)).UseController(Sites.Training())
            .UseTime(time).UseLogging(log));
        var run = both.RunToEndAsync(Sites.Model(0));
        Assert.That(await NextLevelAsync("has 0 of 1 answer and waits"), Is.EqualTo(LogLevel.Information));
        gate.SetResult();
        await run;

        async Task<LogLevel> NextLevelAsync(string words)
        {
            using var patience = new CancellationTokenSource(Patience.Long);
            while (true)
            {
                await time.TimerAsync(reminder).WaitAsync(patience.Token);
                time.Advance(reminder);
                foreach (var entry in log.Entries)
                    if (entry.Id == 18 && entry.Message.Contains(words, StringComparison.Ordinal)) return entry.Level;
                await Task.Delay(1, patience.Token); // nothing is waited for in a spin
            }
        }
    }
}
