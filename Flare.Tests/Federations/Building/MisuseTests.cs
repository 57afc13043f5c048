using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>
/// Workflows, handlers and loggers that do what they should not: the run stays alive, or says what to do.
/// </summary>
public class MisuseTests
{
    private static StateDict Initial => Sites.Model(0);

    private static Task<Federation> RunAsync(
        Func<ControllerContext, CancellationToken, Task> body, params Executor[] executors) =>
        Sites.RunAsync(new Workflow(body), Initial, executors);

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
            await foreach (var contribution in federation.BroadcastAsync(
                FlareTask.Train(1, federation.Model), new() { MinResponses = 2 }, abort))
                if (contribution.Site == "site-2") federation.Context.FireFederated("hello", new Shareable());
        });
        await Sites.RunAsync(workflow, Initial,
            f => f.UseParallelism(2).ConfigureSites((s, i) => s.AddComponent(i.Index == 0 ? blocking : listening)),
            Sites.Adding(1), Sites.Adding(2));
        Assert.That(wasHeard, "site-2 hears the server while a handler of site-1 is at work");
        Assert.That(
            order, Is.EqualTo(new[] { "unblocked", "hello" }),
            "and site-1 hears it afterwards: its handlers never run side by side");
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
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow).UseLogging(log)
            .UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(50) }));
        using var abort = new CancellationTokenSource();
        var run = federation.RunToEndAsync(Initial, abort.Token);
        await reached.Task.WaitAsync(Patience.Long);
        abort.Cancel();
        Assert.That(() => run.WaitAsync(Patience.Long), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(log.Entries.Select(e => e.Message), Has.Some.Contains("Workflow did not end within 0.05 s"));
        Assert.That(
            () => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow))
            .RunToEndAsync(Initial),
            Throws.InstanceOf<FlareException>().With.Message.Contains("at work in another federation"));
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
        Assert.That(
            () => Sites.RunAsync(workflow, Initial, Sites.Adding(1)),
            Throws.InnerException.InstanceOf<InvalidOperationException>()
                .With.Message.Contains("ConfigureAwait(false)"));
    }

    [Test]
    public async Task A_workflow_cannot_dispose_of_its_own_federation()
    {
        Federation? federation = null;
        var workflow = new Workflow(async (_, _) => await federation!.DisposeAsync());
        federation = Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow));
        await using (federation)
            Assert.That(
                () => federation.RunToEndAsync(Initial).WaitAsync(Patience.Long),
                Throws.InnerException.InstanceOf<InvalidOperationException>()
                .With.Message.Contains("within its own workflow"));
    }

    [Test]
    public void A_relay_that_nobody_answers_says_why_and_one_without_a_task_says_so()
    {
        var failing = new Workflow(
            (federation, abort) =>
            ReadAsync(federation.RelayAsync(_ => FlareTask.Train(1, federation.Model), abort: abort)));
        var failure = Assert.ThrowsAsync<TaskFailedException>(
            () => Sites.RunAsync(failing, Initial, Sites.Throwing("no disk"), Sites.Throwing("no data")))!;
        Assert.That(
            failure.Message, Does.Contain("site-1").And.Contain("no disk").And.Contain("site-2").And.Contain(
                "no data"));
        var without = new Workflow((federation, abort) => ReadAsync(federation.RelayAsync(_ => null!, abort: abort)));
        Assert.That(
            () => Sites.RunAsync(without, Initial, Sites.Adding(1)),
            Throws.InnerException.InstanceOf<InvalidOperationException>()
                .With.Message.Contains("no task for site-1"));
    }

    [Test]
    public async Task A_relay_goes_on_when_some_answer() => await RunAsync(async (federation, abort) =>
    {
        var names = new List<string>();
        await foreach (var c in federation.RelayAsync(_ => FlareTask.Train(1, federation.Model), abort: abort))
            names.Add(c.Site);
        Assert.That(names, Is.EqualTo(new[] { "site-2" }));
    }, Sites.Throwing("no disk"), Sites.Adding(1), Sites.Throwing("no data"));

    [Test]
    public async Task A_logger_that_throws_costs_nobodys_answer()
    {
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, f => f.UseLogging(new ThrowingLog()), Sites.Adding(1),
            Sites.Throwing("bad day"));
        Assert.That(
            federation.Rounds[0].Sites.Select(s => s.Status),
            Is.EqualTo(new[] { SiteStatus.Accepted, SiteStatus.Failed }));
    }

    [Test]
    public async Task Features_that_are_disposed_of_asynchronously_are()
    {
        var feature = new Feature();
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, f => f.AddFeature(feature, owned: true), Sites.Adding(1));
        Assert.That(feature.IsDisposed);
        Assert.That(federation.Rounds[0].Workflow, Is.EqualTo(nameof(FedAvg)));
    }

    [Test]
    public async Task What_is_registered_with_an_executors_token_does_not_hold_up_the_loop()
    {
        using var blocked = new ManualResetEventSlim();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var stubborn = new Scripted(async (_, _, _, abort) =>
        {
            abort.Register(blocked.Wait);
            started.SetResult();
            await Task.Delay(Timeout.Infinite, abort);
            return new Shareable();
        });
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, _ => stubborn).UseController(Sites.Training())
            .UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(50), DrainTimeout = TimeSpan.FromHours(1) }));
        using var abort = new CancellationTokenSource();
        var run = federation.RunToEndAsync(Initial, abort.Token);
        await started.Task.WaitAsync(Patience.Long);
        abort.Cancel();
        try
        {
            Assert.That(
                () => run.WaitAsync(Patience.Long), Throws.InstanceOf<OperationCanceledException>(),
                "while the callback still blocks");
        }
        finally
        {
            blocked.Set();
        }
    }

    [Test]
    public async Task A_second_run_is_refused_and_leaves_the_first_alone()
    {
        var gate = new TaskCompletionSource();
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Gated(gate.Task, 1)).UseController(Sites.Training()));
        var first = federation.RunToEndAsync(Initial);
        Assert.That(
            () => federation.RunToEndAsync(Initial, new CancellationToken(canceled: true)),
            Throws.InvalidOperationException.With.Message.Contains("runs once"));
        gate.SetResult();
        Assert.That(await first.WaitAsync(Patience.Long), Has.Count.EqualTo(1));
    }

    [Test]
    public async Task A_run_that_cannot_start_gives_its_workflow_back()
    {
        var workflow = Sites.Training();
        await using (var broken = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow).UseLogging(new NoLog())))
            Assert.That(() => broken.RunToEndAsync(Initial), Throws.InstanceOf<IOException>());
        Assert.That((await Sites.RunAsync(workflow, Initial, Sites.Adding(1))).Rounds, Has.Count.EqualTo(1));
    }

    [Test]
    public void Names_that_no_journal_could_hold_are_refused_where_they_are_given()
    {
        foreach (var name in new[] { "half \ud83d", new string('x', 201) })
        {
            Assert.That(
                () => Federation.InProcess(f => f.AddSite(name, _ => Sites.Adding(1))), Throws.ArgumentException);
            Assert.That(() => Federation.InProcess(f => f.UseJobId(name)), Throws.ArgumentException);
        }
    }

    private sealed class NoLog : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => throw new IOException("no log today");
        public void AddProvider(ILoggerProvider provider) { }
        public void Dispose() { }
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
        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => throw new IOException("the disk is full");
        public void Dispose() { }
    }
}
