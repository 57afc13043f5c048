using Flare.Tests.Federations;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Tests.Core;

/// <summary>How a site's events are handed to its components.</summary>
public class EventBusTests
{
    [Test]
    public async Task An_event_that_finds_a_handler_at_work_is_handled_when_that_one_is_done_though_no_other_follows()
    {
        using var inside = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        var handled = new List<string>();
        var side = new RunSide
        {
            Identity = "site-1",
            JobId = "job",
            Seed = 0,
            Time = TimeProvider.System,
            Logger = NullLogger.Instance,
            Compute = ComputeScheduler.ThreadPool,
            Events = new EventBus(
            [
                new LambdaComponent((type, _) =>
                {
                    if (type == "slow")
                    {
                        inside.Set();
                        goOn.Wait(Patience.Long);
                    }
                    handled.Add(type);
                }),
            ])
            {
                HandsOver = true,
            },
        };
        var firing = Task.Run(() => side.Events.Fire("slow", new FLContext(side)));
        Assert.That(inside.Wait(Patience.Long));
        side.Events.Announce("quick", new FLContext(side));
        Assert.That(handled, Is.Empty, "whoever announces does not wait for the handler");
        goOn.Set();
        await firing.WaitAsync(Patience.Long);
        Assert.That(handled, Is.EqualTo(new[] { "slow", "quick" }));
    }
}
