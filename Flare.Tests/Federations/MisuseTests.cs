using Flare.Tests.Core.Journaling;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>Workflows, handlers and loggers that do what they should not: the run stays alive, or says what to do.</summary>
public class MisuseTests
{
    private static StateDict Initial => Sites.Model(0);

    private static Task<Federation> RunAsync(Func<ControllerContext, CancellationToken, Task> body, params Executor[] executors) => Sites.RunAsync(new Workflow(body), Initial, executors);

    private static async Task ReadAsync(IAsyncEnumerable<Contribution> responses)
    {
        await foreach (var _ in responses) { }
    }

    [Test]
    public async Task A_handler_that_blocks_in_one_sites_task_does_not_hold_up_the_other_sites()
    {
        using var heard = new ManualResetEventSlim();
        var wasHeard = false;
        var order = new List<string>();
        var blocking = new LambdaComponent((type, context) =>
        {
            if (type == "hello") order.Add("hello");
            if (type != EventTypes.BeforeTaskExecution || context.TaskName != TaskNames.Train) return;
            wasHeard = heard.Wait(Patience.Long);
            order.Add("unblocked");
        });
        var listening = new LambdaComponent((type, _) => { if (type == "hello") heard.Set(); });
        var workflow = new Workflow(async (federation, abort) =>
        {
            await foreach (var contribution in federation.BroadcastAsync(FlareTask.Train(1, federation.Model), new() { MinResponses = 2 }, abort))
                if (contribution.Site == "site-2") federation.Context.FireFederated("hello", new Shareable());
        });
        await Sites.RunAsync(workflow, Initial,
            f => f.UseParallelism(2).ConfigureSites((s, i) => s.AddComponent(i.Index == 0 ? blocking : listening)), Sites.Adding(1), Sites.Adding(2));
        Assert.That(wasHeard, "site-2 hears the server while a handler of site-1 is at work");
        Assert.That(order, Is.EqualTo(new[] { "unblocked", "hello" }), "and site-1 hears it afterwards: its handlers never run side by side");
    }

    [Test]
    public async Task A_workflow_that_ignores_its_token_is_abandoned_and_its_verbs_refuse_it()
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var after = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var log = new LogRecorder();
        var workflow = new Workflow(async (federation, _) =>
        {
            reached.SetResult();
            await goOn.Task;
            try
            {
                await federation.CommitAsync(1, Sites.Model(9), CancellationToken.None);
                after.SetResult(null);
            }
            catch (InvalidOperationException e)
            {
                after.SetResult(e);
            }
        });
        await using var federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow).UseLogging(log).UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(50) }));
        using var abort = new CancellationTokenSource();
        var run = federation.RunToEndAsync(Initial, abort.Token);
        await reached.Task.WaitAsync(Patience.Long);
        abort.Cancel();
        Assert.That(() => run.WaitAsync(Patience.Long), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(log.Entries.Select(e => e.Message), Has.Some.Contains("Workflow did not end within 0.05 s"));
        Assert.That(() => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow)).RunToEndAsync(Initial), Throws.InstanceOf<FlareException>().With.Message.Contains("at work in another federation"));
        goOn.SetResult();
        Assert.That((await after.Task.WaitAsync(Patience.Long))?.Message, Does.Contain("is over"));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 0f }));
    }

    [Test]
    public void Verbs_refuse_calls_that_come_from_another_thread_than_the_loop()
    {
        var workflow = new Workflow(async (federation, abort) =>
        {
            await Task.Delay(1, abort).ConfigureAwait(false);
            federation.BroadcastAsync(FlareTask.Train(1, federation.Model), abort: abort);
        });
        Assert.That(() => Sites.RunAsync(workflow, Initial, Sites.Adding(1)), Throws.InvalidOperationException.With.Message.Contains("ConfigureAwait(false)"));
    }

    [Test]
    public async Task A_workflow_cannot_dispose_of_its_own_federation()
    {
        Federation? federation = null;
        var workflow = new Workflow(async (_, _) => await federation!.DisposeAsync());
        federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow));
        await using (federation)
            Assert.That(() => federation.RunToEndAsync(Initial).WaitAsync(Patience.Long), Throws.InvalidOperationException.With.Message.Contains("within its own workflow"));
    }

    [Test]
    public void A_relay_that_nobody_answers_says_why_and_one_without_a_task_says_so()
    {
        var failing = new Workflow((federation, abort) => ReadAsync(federation.RelayAsync(_ => FlareTask.Train(1, federation.Model), abort: abort)));
        var failure = Assert.ThrowsAsync<TaskFailedException>(() => Sites.RunAsync(failing, Initial, Sites.Throwing("no disk"), Sites.Throwing("no data")))!;
        Assert.That(failure.Message, Does.Contain("site-1").And.Contain("no disk").And.Contain("site-2").And.Contain("no data"));
        var without = new Workflow((federation, abort) => ReadAsync(federation.RelayAsync(_ => null!, abort: abort)));
        Assert.That(() => Sites.RunAsync(without, Initial, Sites.Adding(1)), Throws.InvalidOperationException.With.Message.Contains("no task for site-1"));
    }

    [Test]
    public async Task A_relay_goes_on_when_some_answer() => await RunAsync(async (federation, abort) =>
    {
        var names = new List<string>();
        await foreach (var c in federation.RelayAsync(_ => FlareTask.Train(1, federation.Model), abort: abort)) names.Add(c.Site);
        Assert.That(names, Is.EqualTo(new[] { "site-2" }));
    }, Sites.Throwing("no disk"), Sites.Adding(1), Sites.Throwing("no data"));

    // One executor at a time and one permit: whichever answers first must not stand in the way of what is read first.
    private static Task<Federation> RunTightAsync(Func<ControllerContext, CancellationToken, Task> body) => Sites.RunAsync(new Workflow(body), Initial,
        f => f.UseParallelism(1).UseLimits(new() { MaxConcurrentUploads = 1, SmallResultBytes = 0 }), Sites.Adding(1), Sites.Adding(1), Sites.Adding(1));

    [Test]
    public Task Tasks_in_flight_at_the_same_sites_are_read_one_after_the_other() => RunTightAsync(async (federation, abort) =>
    {
        TaskResponses[] tasks = [.. Enumerable.Range(1, 3).Select(round => federation.BroadcastAsync(FlareTask.Train(round, federation.Model), abort: abort))];
        foreach (var task in tasks) await ReadAsync(task);
        Assert.That(tasks.SelectMany(t => t.Sites).Select(s => s.Status), Is.All.EqualTo(SiteStatus.Accepted));
    });

    [TestCase(1, 2, 3), TestCase(3, 2, 1), TestCase(2, 3, 1)]
    public Task Tasks_in_flight_at_different_sites_are_read_in_any_order(params int[] order) => RunTightAsync(async (federation, abort) =>
    {
        var tasks = federation.Sites.ToDictionary(site => site, site => federation.BroadcastAsync(FlareTask.Train(1, federation.Model), new() { Targets = [site] }, abort));
        foreach (var site in order) await ReadAsync(tasks[$"site-{site}"]);
        Assert.That(tasks.Values.Select(t => t.Sites.Single().Status), Is.All.EqualTo(SiteStatus.Accepted));
    });

    [Test]
    public async Task A_logger_that_throws_costs_nobodys_answer()
    {
        var federation = await Sites.RunAsync(Sites.Training(), Initial, f => f.UseLogging(new ThrowingLog()), Sites.Adding(1), Sites.Throwing("bad day"));
        Assert.That(federation.Rounds[0].Sites.Select(s => s.Status), Is.EqualTo(new[] { SiteStatus.Accepted, SiteStatus.Failed }));
    }

    [Test]
    public async Task Features_that_are_disposed_of_asynchronously_are()
    {
        var feature = new Feature();
        var federation = await Sites.RunAsync(Sites.Training(), Initial, f => f.AddFeature(feature, owned: true), Sites.Adding(1));
        Assert.That(feature.IsDisposed);
        Assert.That(federation.Rounds[0].Workflow, Is.EqualTo(nameof(FedAvg)));
    }

    [Test]
    public async Task Tensors_do_not_leave_a_site_by_its_public_properties()
    {
        var federation = await Sites.RunAsync(Sites.Training(minSites: 1), Initial, Sites.Adding(1), new Scripted((_, input, context, _) =>
        {
            context.Set(new FLContextKey<FlareMap>("secret", Visibility.Public), new FlareMap { ["nested"] = new FlareMap { ["model"] = Dxo.From(input).Tensors } });
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        }));
        Assert.That(federation.Rounds[0].Sites[1].ToString(), Does.StartWith("site-2: Failed").And.Contain("pass no filter"));
    }

    [Test]
    public async Task A_contract_holds_for_messages_of_any_kind()
    {
        var other = StateDict.Create(("w", [1f, 2f]));
        var poisoned = StateDict.Create(("x", [float.NaN]));
        await RunAsync(async (federation, abort) =>
        {
            var task = new FlareTask("collect", 0, new Shareable()) { Contract = new() { Layout = federation.Model.Layout } };
            var responses = federation.BroadcastAsync(task, new() { MinResponses = 1, Grace = TimeSpan.FromMinutes(5) }, abort);
            var accepted = new List<string>();
            await foreach (var c in responses) accepted.Add(c.Site);
            Assert.That(accepted, Is.EqualTo(new[] { "site-3" }));
            Assert.That(responses.Sites[0].Reason, Does.Contain("layout"));
            Assert.That(responses.Sites[1].Reason, Does.Contain("'list/x'").And.Contain("NaN"));
        },
        new Scripted((_, _, _, _) => ValueTask.FromResult(Dxo.Weights(other).ToShareable())),
        new Scripted((_, _, _, _) => ValueTask.FromResult(new Shareable(new FlareMap { ["list"] = FlareValue.List(poisoned) }))),
        new Scripted((_, _, _, _) => ValueTask.FromResult(new Shareable(new FlareMap { ["text"] = "fine" }))));
    }

    [Test]
    public async Task A_commit_on_its_way_to_a_slow_disk_outlives_an_abort_and_the_journal_stays_whole()
    {
        var writing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var disk = new MemoryStorage();
        Federation Build(TimeSpan grace) => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training(rounds: 3)).UseJournal(disk).UseLimits(new() { AbortGrace = grace }));
        using var abort = new CancellationTokenSource();
        disk.Before = async what =>
        {
            if (!what.StartsWith("replace model", StringComparison.Ordinal)) return;
            writing.TrySetResult();
            await goOn.Task;
        };
        await using (var federation = Build(TimeSpan.FromMilliseconds(20)))
        {
            var run = federation.RunToEndAsync(Initial, abort.Token);
            await writing.Task.WaitAsync(Patience.Long);
            abort.Cancel();
            await Task.Delay(100, CancellationToken.None); // several graces
            Assert.That(run.IsCompleted, Is.False, "the disk has not answered");
            Assert.That(disk.IsDisposed, Is.False, "and the journal still has it");
            goOn.SetResult();
            Assert.That(() => run.WaitAsync(Patience.Long), Throws.InstanceOf<OperationCanceledException>());
        }
        disk = disk.Restarted();
        await using var again = Build(TimeSpan.FromSeconds(5));
        Assert.That((await again.RunToEndAsync(Initial)).Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3 }));
    }

    [Test]
    public async Task What_changes_in_the_state_after_a_commit_was_asked_for_waits_for_the_next_one()
    {
        var workflow = new Workflow(async (federation, abort) =>
        {
            federation.State.Values["x"] = 1;
            var commit = federation.CommitAsync(1, Sites.Model(1), abort);
            federation.State.Values["x"] = 2;
            await commit;
        });
        var disk = new MemoryStorage { Before = _ => Task.Delay(1) };
        var federation = await Sites.RunAsync(workflow, Initial, f => f.UseJournal(disk), Sites.Adding(1));
        Assert.That(federation.State.Values["x"].AsInteger(), Is.EqualTo(1));
        await using var again = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(new Workflow((_, _) => Task.CompletedTask)).UseJournal(disk.Restarted()));
        await again.RunToEndAsync(Initial);
        Assert.That(again.State.Values["x"].AsInteger(), Is.EqualTo(1));
    }

    [Test]
    public async Task Metrics_of_a_contribution_that_the_aggregator_refuses_do_not_count()
    {
        static Executor Measuring(double accuracy) => new Scripted((_, input, _, _) => ValueTask.FromResult(
            Dxo.WeightDiff(new StateDict(Dxo.From(input).Tensors.Layout)).WithMeta(MetaKey.NumStepsCurrentRound, 1)
                .WithMeta(MetaKey.InitialMetrics, new FlareMap { ["accuracy"] = accuracy }).ToShareable()));
        var workflow = new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.BeforeTraining, Grace = TimeSpan.FromMinutes(5), Aggregator = new FirstOnly() };
        var federation = await Sites.RunAsync(workflow, Initial, f => f.UseParallelism(1), Measuring(0.25), Measuring(1));
        Assert.That(federation.Rounds[0].Sites.Where(s => s.Task == TaskNames.Train).Select(s => s.Status), Is.EqualTo(new[] { SiteStatus.Accepted, SiteStatus.Rejected }));
        Assert.That(federation.State.Values.ToString(), Does.Contain("0.25"), "the best of what was measured before training");
    }

    [Test]
    public async Task A_site_cannot_speak_of_another_site_or_at_length_in_its_error()
    {
        var liar = new Scripted((_, _, _, _) =>
        {
            var reply = Shareable.Reply(ReturnCode.ExecutionException);
            reply.Headers[HeaderNames.Error] = new FlareMap
            {
                ["site"] = "site-2", ["task"] = "other", ["round"] = 9, ["type"] = new string('t', 100_000), ["message"] = new string('m', 100_000), ["stack"] = "",
            };
            return ValueTask.FromResult(reply);
        });
        var federation = await Sites.RunAsync(Sites.Training(), Initial, liar, Sites.Adding(1));
        var error = federation.Rounds[0].Sites[0].Error!;
        Assert.That((error.Site, error.Task, error.Round), Is.EqualTo(("site-1", TaskNames.Train, 1)));
        Assert.That(federation.Rounds[0].Sites[0].Reason, Has.Length.LessThan(6_000));
    }

    [Test]
    public async Task NaN_is_found_wherever_a_message_holds_tensors()
    {
        var hidden = new Scripted((_, input, _, _) => ValueTask.FromResult(
            Sites.Diff(Dxo.From(input).Tensors, 1) is var diff ? Dxo.From(diff).WithMeta(new MetaKey("momentum"), StateDict.Create(("v", [float.NaN]))).ToShareable() : diff));
        var federation = await Sites.RunAsync(Sites.Training(), Initial, hidden, Sites.Adding(1));
        Assert.That(federation.Rounds[0].Sites[0].Reason, Does.Contain("momentum").And.Contain("NaN"));
    }

    [TestCase("text"), TestCase("type"), TestCase("metric"), TestCase("tensor")]
    public async Task What_a_site_says_cannot_spoil_the_journal(string where)
    {
        const string half = "bad \ud83d text";
        var spoiler = new Scripted((_, input, _, _) =>
        {
            var model = Dxo.From(input).Tensors;
            var error = Shareable.Reply(ReturnCode.ExecutionException);
            error.Headers[HeaderNames.Error] = new FlareMap { ["site"] = "", ["task"] = "", ["round"] = 1, ["type"] = new string('t', 20_000_000), ["message"] = "", ["stack"] = "" };
            return ValueTask.FromResult(where switch
            {
                "text" => throw new InvalidDataException(half),
                "type" => error,
                "metric" => Dxo.From(Sites.Diff(model, 1)).WithMeta(MetaKey.InitialMetrics, new FlareMap { [half] = 1.0 }).ToShareable(),
                _ => Dxo.WeightDiff(StateDict.Create((new string('n', 1_000_000), [1f]))).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable(),
            });
        });
        var federation = await Sites.RunAsync(Sites.Training(), Initial, f => f.UseJournal(new MemoryStorage()), spoiler, Sites.Adding(1));
        Assert.That(federation.Rounds[0].Sites[0].Status, Is.EqualTo(where switch { "metric" => SiteStatus.Accepted, "tensor" => SiteStatus.Rejected, _ => SiteStatus.Failed }));
        Assert.That(federation.Rounds[0].Sites[0].Reason ?? "", Has.Length.LessThan(10_000));
    }

    [Test]
    public async Task Metrics_of_very_many_names_are_cut_to_those_that_most_sites_state()
    {
        var sites = Enumerable.Range(0, 300).Select(site => new Scripted((task, input, _, _) =>
        {
            if (task != TaskNames.Validate) return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
            return ValueTask.FromResult(Dxo.Metrics([("accuracy", 0.5), .. Enumerable.Range(0, 255).Select(i => ($"{site}/{i}", 1.0))]).ToShareable());
        })).ToArray();
        var federation = await Sites.RunAsync(new FedAvg { Rounds = 1, MinSites = 300 }, Initial, f => f.UseJournal(new MemoryStorage()), sites);
        Assert.That(federation.Rounds[0].Metrics, Has.Count.EqualTo(256));
        Assert.That(federation.Rounds[0].Metrics["accuracy"], Is.EqualTo(0.5));
    }

    [Test]
    public async Task The_first_model_is_nobodys_to_give_back()
    {
        var echo = new Scripted((_, input, _, _) => ValueTask.FromResult(Dxo.Weights(Dxo.From(input).Tensors).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable()));
        var workflow = new FedAvg { Rounds = 2, MinSites = 3, Validation = ValidationMode.None, Aggregator = new ExactAggregator { Kind = DataKind.Weights } };
        var federation = await Sites.RunAsync(workflow, Sites.Model(1, 2).HandOver(), f => f.UseParallelism(1).UseLimits(new() { MaxConcurrentUploads = 1 }), echo,
            Sites.Answering(m => Dxo.Weights(m).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable()), Sites.Answering(m => Dxo.Weights(m).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable()));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1f, 2f }));
    }

    [Test]
    public async Task What_is_registered_with_an_executors_token_does_not_hold_up_the_loop()
    {
        using var blocked = new ManualResetEventSlim();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var stubborn = new Scripted(async (_, _, _, abort) =>
        {
            abort.Register(() => blocked.Wait(Patience.Long));
            started.SetResult();
            await Task.Delay(Timeout.Infinite, abort);
            return new Shareable();
        });
        await using var federation = Federation.InProcess(f => f.AddSites(1, _ => stubborn).UseController(Sites.Training()).UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(50), DrainTimeout = TimeSpan.FromSeconds(20) }));
        using var abort = new CancellationTokenSource();
        var run = federation.RunToEndAsync(Initial, abort.Token);
        await started.Task.WaitAsync(Patience.Long);
        abort.Cancel();
        Assert.That(() => run.WaitAsync(TimeSpan.FromSeconds(15)), Throws.InstanceOf<OperationCanceledException>(), "while the callback still blocks");
        blocked.Set();
    }

    [Test]
    public async Task A_second_run_is_refused_and_leaves_the_first_alone()
    {
        var gate = new TaskCompletionSource();
        await using var federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Gated(gate.Task, 1)).UseController(Sites.Training()));
        var first = federation.RunToEndAsync(Initial);
        Assert.That(() => federation.RunToEndAsync(Initial, new CancellationToken(canceled: true)), Throws.InvalidOperationException.With.Message.Contains("runs once"));
        gate.SetResult();
        Assert.That(await first.WaitAsync(Patience.Long), Has.Count.EqualTo(1));
    }

    [Test]
    public async Task A_run_that_cannot_start_gives_its_workflow_back()
    {
        var workflow = Sites.Training();
        await using (var broken = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow).UseLogging(new NoLog())))
            Assert.That(() => broken.RunToEndAsync(Initial), Throws.InstanceOf<IOException>());
        Assert.That((await Sites.RunAsync(workflow, Initial, Sites.Adding(1))).Rounds, Has.Count.EqualTo(1));
    }

    [Test]
    public void Names_that_no_journal_could_hold_are_refused_where_they_are_given()
    {
        foreach (var name in new[] { "half \ud83d", new string('x', 201) })
        {
            Assert.That(() => Federation.InProcess(f => f.AddSite(name, _ => Sites.Adding(1))), Throws.ArgumentException);
            Assert.That(() => Federation.InProcess(f => f.UseJobId(name)), Throws.ArgumentException);
        }
    }

    [Test]
    public async Task A_journal_that_was_begun_encrypted_does_not_go_on_in_the_clear()
    {
        var disk = new MemoryStorage();
        await Sites.RunAsync(new Workflow((_, _) => Task.CompletedTask), Initial, f => f.UseJournal(disk).UseAggregator(() => new ExactAggregator()), Sites.Adding(1));
        Assert.That(() => Sites.RunAsync(new Workflow((_, _) => Task.CompletedTask), Initial, f => f.UseJournal(disk.Restarted()), Sites.Adding(1)),
            Throws.InstanceOf<FlareException>().With.Message.Contains("homomorphic encryption"));
    }

    private sealed class NoLog : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => throw new IOException("no log today");
        public void AddProvider(ILoggerProvider provider) { }
        public void Dispose() { }
    }

    /// <summary>Takes the first contribution of a round and refuses the others.</summary>
    private sealed class FirstOnly : Aggregator
    {
        private StateDict? _model;

        public override void Begin(ControllerContext federation, int round) => _model = null;

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            if (_model is null) _model = contribution.ToWeights();
            else contribution.Reject("one is enough");
            return ValueTask.CompletedTask;
        }

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => ValueTask.FromResult(_model!);
    }

    private sealed class Feature : IAsyncDisposable
    {
        public bool IsDisposed { get; private set; }

        public async ValueTask DisposeAsync()
        {
            await Task.Yield();
            IsDisposed = true;
        }
    }

    private sealed class ThrowingLog : ILoggerFactory, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;
        public void AddProvider(ILoggerProvider provider) { }
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
        public bool IsEnabled(LogLevel logLevel) => true;
        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => throw new IOException("the disk is full");
        public void Dispose() { }
    }
}
