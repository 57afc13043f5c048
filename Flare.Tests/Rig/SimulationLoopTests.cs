using Flare.Testing;

namespace Flare.Tests.Rig;

public class SimulationLoopTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Test]
    public void A_seed_chooses_one_order_among_what_is_ready_and_another_seed_another()
    {
        static string Order(ulong seed)
        {
            var loop = new SimulationLoop(seed);
            var order = "";
            loop.Run(async () =>
            {
                foreach (var name in "abcdefgh") loop.Post(_ => order += name, null);
                await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
            }, Minute);
            return order;
        }

        var first = Order(1);
        Assert.That(first, Has.Length.EqualTo(8));
        Assert.That(Order(1), Is.EqualTo(first));
        Assert.That(Enumerable.Range(1, 20).Select(s => Order((ulong)s)).Distinct().Count(), Is.GreaterThan(10));
    }

    [Test]
    public void Time_jumps_to_the_next_timer()
    {
        var loop = new SimulationLoop(1);
        var end = loop.Run(() => Task.Delay(TimeSpan.FromHours(10), loop.Time), TimeSpan.FromDays(1));
        Assert.That((end, loop.Now, loop.Escapes), Is.EqualTo((SimulationEnd.Completed, TimeSpan.FromHours(10), 0)));
    }

    [Test]
    public void Periodic_and_stopped_timers_do_as_they_are_told()
    {
        var loop = new SimulationLoop(1);
        var ticks = 0;
        loop.Run(async () =>
        {
            using (loop.Time.CreateTimer(_ => ticks++, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)))
                await Task.Delay(TimeSpan.FromSeconds(3.5), loop.Time);
            await Task.Delay(TimeSpan.FromSeconds(10), loop.Time);
        }, Minute);
        Assert.That(ticks, Is.EqualTo(3));
    }

    [Test]
    public void Work_that_leaves_the_loop_is_counted_as_it_comes_back()
    {
        var loop = new SimulationLoop(1);
        loop.Run(async () => await new FromElsewhere(), Minute);
        Assert.That(loop.Escapes, Is.EqualTo(1));
        Assert.That(loop.FirstEscape, Does.Contain(nameof(FromElsewhere)));
    }

    [Test]
    public void A_run_that_cannot_end_says_how()
    {
        Assert.That(End(loop => new TaskCompletionSource().Task), Is.EqualTo(SimulationEnd.Stuck));
        Assert.That(End(loop => Task.Delay(TimeSpan.FromHours(1), loop.Time)), Is.EqualTo(SimulationEnd.OutOfTime));
        Assert.That(End(async _ => { while (true) await Task.Yield(); }), Is.EqualTo(SimulationEnd.OutOfSteps));

        static SimulationEnd End(Func<SimulationLoop, Task> main)
        {
            var loop = new SimulationLoop(1);
            return loop.Run(() => main(loop), Minute, stepLimit: 1000);
        }
    }

    [Test]
    public void What_is_thrown_reaches_the_caller_or_the_list_of_the_unhandled()
    {
        var loop = new SimulationLoop(1);
        Assert.That(() => loop.Run(async () =>
        {
            loop.Post(_ => throw new InvalidOperationException("nobody awaits this"), null);
            await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
            throw new TimeoutException();
        }, Minute), Throws.InstanceOf<TimeoutException>());
        Assert.That(loop.Unhandled.Select(e => e.Message), Is.EqualTo(new[] { "nobody awaits this" }));
    }

    [Test]
    public void The_trace_tells_runs_apart()
    {
        static ulong Hash(ulong seed, string what)
        {
            var loop = new SimulationLoop(seed, keepLog: true);
            loop.Trace(what, "who", 1);
            Assert.That(loop.Log, Has.Count.EqualTo(1));
            return loop.TraceHash;
        }

        var first = Hash(1, "a");
        Assert.That(Hash(1, "a"), Is.EqualTo(first));
        Assert.That(Hash(1, "b"), Is.Not.EqualTo(first));
        Assert.That(Hash(2, "a"), Is.Not.EqualTo(first));
    }
}
