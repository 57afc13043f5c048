using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>The life of a federation in one process.</summary>
public class FederationTests
{
    private static StateDict Initial => Sites.Model(10);

    /// <summary>Computes until it is told to stop, looking at its token in every loop.</summary>
    private static Scripted Looping(CountdownEvent running, Action stopped) => new((_, input, _, abort) =>
    {
        running.Signal();
        try
        {
            while (true) abort.ThrowIfCancellationRequested();
        }
        finally
        {
            stopped();
        }
    });

    [TestCase("token"), TestCase("dispose"), TestCase("break")]
    public async Task An_abort_stops_looping_executors_before_the_run_ends(string way)
    {
        var sites = Environment.ProcessorCount; // as many as run at once by default: the loop gets no core for itself
        var stopped = 0;
        using var running = new CountdownEvent(sites);
        using var abort = new CancellationTokenSource();
        var ends = 0;
        await using var federation = Federation.InProcess(f => f
            .AddSites(sites, _ => Looping(running, () => Interlocked.Increment(ref stopped)))
            .ConfigureSites((site, _) => site.AddComponent(new LambdaComponent((type, _) =>
            {
                // The run's end comes after the last task, never beside it.
                if (type == EventTypes.EndRun && Volatile.Read(ref stopped) >= 1) Interlocked.Increment(ref ends);
            })))
            .UseController(new Workflow(async (context, token) =>
            {
                await context.CommitAsync(1, Sites.Model(1), token);
                await foreach (var _ in context.BroadcastAsync(FlareTask.Train(2, context.Model), abort: token)) { }
            })));
        if (way == "break")
        {
            await foreach (var round in federation.RunAsync(Initial))
            {
                Assert.That(running.Wait(Patience.Long));
                break;
            }
        }
        else
        {
            var run = federation.RunToEndAsync(Initial, abort.Token);
            Assert.That(running.Wait(Patience.Long));
            if (way == "token") abort.Cancel();
            else await federation.DisposeAsync().AsTask().WaitAsync(Patience.Long);
            Assert.That(() => run.WaitAsync(Patience.Long), Throws.InstanceOf<OperationCanceledException>());
        }
        Assert.That((stopped, ends), Is.EqualTo((sites, sites)));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1f }), "the last committed round's model stays");
        Assert.That(federation.Rounds, Has.Count.EqualTo(1));
    }

    [Test]
    public void An_abort_before_the_start_runs_nothing()
    {
        var calls = 0;
        Assert.That(async () =>
        {
            await using var federation = Federation.InProcess(
                f => f.AddSites(1, _ => new Scripted((_, _, _, _) => { calls++; return default; }))
                .UseController(Sites.Training()));
            await federation.RunToEndAsync(Initial, new CancellationToken(true));
        }, Throws.InstanceOf<OperationCanceledException>());
        Assert.That(calls, Is.Zero);
    }

    [Test]
    public async Task The_end_of_the_run_waits_for_the_last_task_and_skips_an_executor_that_never_stopped()
    {
        var log = new LogRecorder();
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var polite = new Ending(async abort =>
        {
            await started.Task;
            await Task.Delay(Timeout.Infinite, abort);
        });
        var deaf = new Ending(async _ =>
        {
            started.SetResult();
            await release.Task;
        });
        await using (var federation = Federation.InProcess(f => f
            .AddSite("polite", _ => polite).AddSite("deaf", _ => deaf).UseParallelism(2).UseLogging(log)
            .UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(30) }).UseController(Sites.Training())))
        {
            var run = federation.RunToEndAsync(Initial);
            await started.Task.WaitAsync(Patience.Long);
            await federation.DisposeAsync();
            Assert.That(() => run, Throws.InstanceOf<OperationCanceledException>());
        }
        Assert.That((polite.Ended, polite.EndedBesideATask, deaf.Ended), Is.EqualTo((1, false, 0)));
        release.SetResult();
    }

    private sealed class Ending(Func<CancellationToken, Task> work) : Executor
    {
        private int _running;
        public int Ended { get; private set; }
        public bool EndedBesideATask { get; private set; }

        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            Interlocked.Increment(ref _running);
            try
            {
                await work(abort);
            }
            finally
            {
                Interlocked.Decrement(ref _running);
            }
            return new Shareable();
        }

        protected internal override ValueTask EndRunAsync(FLContext context)
        {
            Ended++;
            EndedBesideATask |= _running != 0;
            return default;
        }
    }

    [Test]
    public async Task An_abort_callback_that_throws_is_logged_and_the_other_sites_stop_all_the_same()
    {
        var log = new LogRecorder();
        using var running = new CountdownEvent(3);
        var stopped = 0;
        Scripted Throwing() => new(async (_, _, _, abort) =>
        {
            var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using var bad = abort.Register(() => throw new InvalidDataException("handler"));
            using var good = abort.Register(gate.SetResult);
            running.Signal();
            await gate.Task;
            Interlocked.Increment(ref stopped);
            return new Shareable();
        });
        await using var federation = Federation.InProcess(
            f => f.AddSites(3, _ => Throwing()).UseParallelism(3).UseLogging(log).UseController(Sites.Training()));
        var run = federation.RunToEndAsync(Initial);
        Assert.That(running.Wait(Patience.Long));
        await federation.DisposeAsync();
        Assert.That(() => run, Throws.InstanceOf<OperationCanceledException>());
        Assert.That(stopped, Is.EqualTo(3));
        Assert.That(log.Entries.Count(e => e.Id == 13), Is.EqualTo(3));
    }

    [TestCase(1), TestCase(3)]
    public async Task No_more_executors_run_at_once_than_allowed(int limit)
    {
        var (now, most) = (0, 0);
        var gate = new Lock();
        using var full = new SemaphoreSlim(0);
        var executor = () => new Scripted(async (_, input, _, abort) =>
        {
            lock (gate) most = Math.Max(most, ++now);
            if (now == limit) full.Release();
            await full.WaitAsync(abort); // all that may run do run before one of them ends
            full.Release();
            lock (gate) now--;
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        });
        var federation = await Sites.RunAsync(
            Sites.Training(rounds: 3, minSites: 9), Initial, f => f.UseParallelism(limit),
            [.. Enumerable.Range(0, 9).Select(_ => executor())]);
        Assert.That(most, Is.EqualTo(limit));
        Assert.That(federation.Rounds.Select(r => r.Accepted), Is.All.EqualTo(9));
    }

    [Test]
    public async Task Parallelism_does_not_show_in_the_bits()
    {
        var hashes = new HashSet<string>();
        foreach (var limit in new[] { 1, 2, 8 })
        {
            var federation = await Sites.RunAsync(
                new FedAvg { Rounds = 3, MinSites = 8 }, Sites.Model(0.1f, 0.7f, 1e-5f), f => f.UseSeed(5)
                .UseParallelism(limit), [.. Enumerable.Range(0, 8).Select(_ => Random())]);
            hashes.Add(federation.Model.Sha256());
        }
        Assert.That(hashes, Has.Count.EqualTo(1));

        static Scripted Random() => new((task, input, context, _) =>
        {
            if (task == TaskNames.Validate) return ValueTask.FromResult(Dxo.Metrics(("accuracy", 0.5)).ToShareable());
            var random = new Random(unchecked((int)context.Seed()));
            var diff = new StateDict(Dxo.From(input).Tensors.Layout);
            foreach (ref var x in diff[0].AsSpan<float>()) x = (float)(random.NextDouble() - 0.5);
            return ValueTask.FromResult(
                Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, random.Next(1, 100)).ToShareable());
        });
    }

    [Test]
    public async Task Sampled_sites_are_those_of_the_seed_and_the_round()
    {
        async Task<string[]> SampleAsync(ulong seed)
        {
            var federation = await Sites.RunAsync(
                new FedAvg { Rounds = 5, SitesPerRound = 3, MinSites = 3, Validation = ValidationMode.None }, Initial,
                f => f.UseSeed(seed), [.. Enumerable.Range(0, 10).Select(_ => Sites.Adding(1))]);
            Assert.That(federation.Rounds.Select(r => (r.Targets, r.Accepted)), Is.All.EqualTo((3, 3)));
            return [.. federation.Rounds.Select(r => string.Join(",", r.Sites.Select(s => s.Site)))];
        }
        var first = await SampleAsync(1);
        Assert.That(await SampleAsync(1), Is.EqualTo(first));
        Assert.That(await SampleAsync(2), Is.Not.EqualTo(first));
        Assert.That(first.Distinct().Count(), Is.GreaterThan(1), "anew each round");
    }

    [Test]
    public void Every_subset_of_sites_is_drawn_equally_often()
    {
        string[] sites = ["a", "b", "c", "d", "e", "f"];
        var counts = new Dictionary<string, int>();
        const int rounds = 15_000;
        for (var round = 1; round <= rounds; round++)
        {
            var drawn = UniformSampling.Choose(sites, 2, seed: 7, round);
            Assert.That(drawn, Has.Count.EqualTo(2).And.Unique.And.Ordered);
            var key = string.Concat(drawn);
            counts[key] = counts.GetValueOrDefault(key) + 1;
        }
        // χ² of the 15 pairs, 14 degrees of freedom: above 36.1 once in a thousand.
        const double expected = rounds / 15.0;
        Assert.That(counts, Has.Count.EqualTo(15));
        Assert.That(counts.Values.Sum(n => (n - expected) * (n - expected) / expected), Is.LessThan(36.1));
    }

    [Test]
    public async Task Ten_thousand_sites_run_in_one_process()
    {
        const int sites = 10_000;
        await using var federation = Federation.InProcess(
            f => f.AddSites(sites, site => Sites.Adding(site.Index % 7, 1 + site.Index % 3))
            .UseController(Sites.Training(rounds: 2, minSites: sites)));
        var threads = ThreadPool.ThreadCount;
        await federation.RunToEndAsync(Initial).WaitAsync(Patience.Long);
        TestContext.Out.WriteLine($"pool threads {threads} → {ThreadPool.ThreadCount}");
        Assert.That(federation.Rounds.Select(r => r.Accepted), Is.All.EqualTo(sites));
        double sum = 0, weight = 0;
        for (var i = 0; i < sites; i++) (sum, weight) = (sum + i % 7 * (1 + i % 3), weight + 1 + i % 3);
        Assert.That(federation.Model.Values()[0], Is.EqualTo(10 + 2 * sum / weight).Within(1e-5));
    }

    [Test]
    public async Task A_federation_runs_once_and_knows_nothing_before()
    {
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training()));
        Assert.That(() => federation.Model, Throws.InvalidOperationException.With.Message.Contains("RunAsync"));
        Assert.That(federation.Rounds, Is.Empty);
        var initial = Initial;
        await federation.RunToEndAsync(initial);
        Assert.That(
            () => federation.RunToEndAsync(initial),
            Throws.InvalidOperationException.With.Message.Contains("runs once"));
        Assert.That(initial.IsReadOnly);
    }

    [Test]
    public void What_a_workflow_throws_reaches_whoever_runs_the_federation() =>
        Assert.That(
            () => Sites.RunAsync(
                new Workflow((_, _) => throw new InvalidTimeZoneException("mine")), Initial, Sites.Adding(1)),
                Throws.TypeOf<FlareException>().With.Message.Contains("Workflow of job 'job'").And.InnerException
                .TypeOf<InvalidTimeZoneException>().And.InnerException.Message.EqualTo("mine"));

    [Test]
    public async Task Endless_times_mean_not_to_wait()
    {
        var workflow = new FedAvg { Rounds = 1, Validation = ValidationMode.None, Grace = TimeSpan.MaxValue,
            TrainTimeout = TimeSpan.MaxValue };
        var federation = await Sites.RunAsync(workflow, Initial, Sites.Adding(1), Sites.Adding(1));
        Assert.That(federation.Rounds[0].Accepted, Is.EqualTo(2));
    }

    [Test]
    public async Task Large_results_wait_for_their_permits_and_all_arrive()
    {
        var model = StateDict.Create(("w", new float[20_000])); // above SmallResultBytes
        var federation = await Sites.RunAsync(
            Sites.Training(rounds: 2, minSites: 12), model, f => f.UseParallelism(6)
            .UseLimits(new() { MaxConcurrentUploads = 1 }), [.. Enumerable.Range(0, 12).Select(i => Sites.Adding(i))]);
        Assert.That(federation.Rounds.Select(r => r.Accepted), Is.All.EqualTo(12));
        Assert.That(federation.Model.Values(), Is.All.EqualTo(11f));
    }
}
