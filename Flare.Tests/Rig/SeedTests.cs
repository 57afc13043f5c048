using System.Globalization;
using Flare.Tests.Rig.Workloads;

namespace Flare.Tests.Rig;

/// <summary>
/// The runtime under attack: every run keeps its promises, its models are what the oracle makes of its reports, and it
/// replays.
/// </summary>
public class SeedTests
{
    private const int Seeds = 200, LongSeeds = 26;

    [Test]
    public void Fixed_seeds_keep_every_promise_and_replay() => RunSeeds(first: 1);

    [Test]
    public void Fresh_seeds_keep_every_promise_and_replay()
    {
        var first = (ulong)Random.Shared.NextInt64(1_000_000, long.MaxValue / 2);
        TestContext.Out.WriteLine($"fresh seeds from {first}");
        RunSeeds(first);
    }

    [TestCaseSource(nameof(FailingSeeds))]
    public void Seeds_that_failed_once_do_not_fail_again(ulong seed, string workload) =>
        RunTwice(Workload.Named(workload), seed);

    /// <summary>
    /// What nobody awaits fails in silence: a task whose exception was never looked at is a finding too.
    /// </summary>
    [Test]
    public void No_task_fails_unobserved()
    {
        List<Exception> unobserved = [];
        void Note(object? sender, UnobservedTaskExceptionEventArgs e)
        {
            // Other tests' tasks are their own.
            if (e.Exception.ToString().Contains("Flare.", StringComparison.Ordinal)) lock (unobserved)
                unobserved.Add(e.Exception);
        }
        CollectGarbage();
        TaskScheduler.UnobservedTaskException += Note;
        try
        {
            foreach (var workload in Workload.All)
                for (var seed = 1000UL; seed < 1003; seed++) workload.Run(seed);
            CollectGarbage();
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Note;
        }
        Assert.That(unobserved, Is.Empty);
    }

    private static IEnumerable<TestCaseData> FailingSeeds() =>
        File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Rig", "failing-seeds.txt"))
        .Where(line => line.Length > 0 && line[0] != '#')
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Select(words => new TestCaseData(ulong.Parse(words[0], CultureInfo.InvariantCulture), words[1]));

    private static void RunSeeds(ulong first)
    {
        foreach (var workloads in Workload.All.GroupBy(w => w.IsLong))
        {
            Workload[] all = [.. workloads];
            for (var i = 0; i < (workloads.Key ? LongSeeds : Seeds); i++)
                RunTwice(all[(int)((first + (ulong)i) % (ulong)all.Length)], first + (ulong)i);
        }
    }

    private static void RunTwice(Workload workload, ulong seed)
    {
        var run = workload.Run(seed);
        Assert.That(run.Failures, Is.Empty, run.ToString());
        Assert.That(
            workload.Run(seed).TraceHash, Is.EqualTo(run.TraceHash), $"seed {seed} of {workload.Name} does not replay");
    }

    private static void CollectGarbage()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }
}
