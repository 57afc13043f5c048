using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Who hears of what, in which order.</summary>
public class EventTests
{
    private static StateDict Initial => Sites.Model(1);

    [Test]
    public async Task The_server_fires_in_the_order_of_the_reference()
    {
        var recorder = new EventRecorder();
        await Sites.RunAsync(new FedAvg { Rounds = 1 }, Initial, f => f.AddServerComponent(recorder), Sites.Adding(1));
        string[] task = [EventTypes.BeforeTaskDataFilter, EventTypes.AfterTaskDataFilter];
        string[] result =
            [EventTypes.BeforeTaskResultFilter, EventTypes.AfterTaskResultFilter, EventTypes.BeforeProcessSubmission,
                EventTypes.AfterProcessSubmission];
        Assert.That(recorder.Types, Is.EqualTo((string[])
        [
            EventTypes.StartRun, EventTypes.StartWorkflow, EventTypes.InitialModelLoaded, EventTypes.TrainingStarted,
            EventTypes.RoundStarted, EventTypes.BeforeTrainTask, .. task, .. result,
            EventTypes.BeforeContributionAccept, EventTypes.AfterContributionAccept,
            EventTypes.BeforeAggregation, EventTypes.AfterAggregation, EventTypes.BeforeShareableToLearnable,
            EventTypes.AfterShareableToLearnable,
            .. task, .. result, EventTypes.GlobalBestModelAvailable,
            EventTypes.BeforeLearnablePersist, EventTypes.AfterLearnablePersist, EventTypes.RoundDone,
            EventTypes.EndWorkflow, EventTypes.AboutToEndRun, EventTypes.EndRun,
        ]));
        Assert.That(recorder.Events.Select(e => e.Identity), Is.All.EqualTo("server"));
    }

    [Test]
    public async Task A_site_fires_in_the_order_of_the_reference()
    {
        var recorder = new EventRecorder();
        await Sites.RunAsync(
            Sites.Training(), Initial, f => f.ConfigureSites((site, _) => site.AddComponent(recorder)),
            Sites.Adding(1));
        Assert.That(recorder.Types, Is.EqualTo(new[]
        {
            EventTypes.AboutToStartRun, EventTypes.StartRun,
            EventTypes.BeforeTaskDataFilter, EventTypes.AfterTaskDataFilter, EventTypes.BeforeTaskExecution,
            EventTypes.AfterTaskExecution,
            EventTypes.BeforeTaskResultFilter, EventTypes.AfterTaskResultFilter, EventTypes.BeforeSendTaskResult,
            EventTypes.AfterSendTaskResult,
            EventTypes.AboutToEndRun, EventTypes.EndRun,
        }));
        Assert.That(recorder.Events.Select(e => e.Identity), Is.All.EqualTo("site-1"));
    }

    [Test]
    public async Task A_failed_task_fires_its_error_and_an_aborted_one_its_abort()
    {
        var (failing, aborted) = (new EventRecorder(), new EventRecorder());
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await Sites.RunAsync(new Workflow(async (federation, abort) =>
        {
            var responses = federation.BroadcastAsync(
                FlareTask.Train(1, federation.Model), new() { MinResponses = 0, Grace = TimeSpan.FromHours(1) }, abort);
            await started.Task;
            responses.Cancel();
            await foreach (var _ in responses) { }
            await stopped.Task.WaitAsync(Patience.Long, abort);
        }), Initial, f => f.UseParallelism(2)
            .ConfigureSites(
                (site, info) => site.AddComponent(info.Index == 0 ? failing : aborted)
                .AddComponent(new LambdaComponent((type, context) =>
        {
            // An aborted task answers TaskAborted, never Ok with an empty body.
            if (info.Index == 1 && type == EventTypes.AfterTaskExecution
                && context.Get(ContextKeys.Message).ReturnCode == ReturnCode.TaskAborted) stopped.SetResult();
        }))), Sites.Throwing("x"), new Scripted(async (_, _, _, abort) =>
        {
            started.SetResult();
            var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using (abort.Register(cancelled.SetResult)) await cancelled.Task;
            return new Shareable(); // claims that all is well
        }));
        Assert.That(
            failing.Types, Does.Contain(EventTypes.FatalTaskError).And.Not.Contain(
                EventTypes.AfterTaskExecution).And.Not.Contain(EventTypes.BeforeTaskResultFilter));
        Assert.That(
            aborted.Types, Does.Contain(EventTypes.AbortTask).And.Not.Contain(
                EventTypes.BeforeTaskResultFilter).And.Not.Contain(EventTypes.BeforeSendTaskResult));
    }

    [Test]
    public async Task Each_instance_gets_its_events_in_the_order_of_adding_and_aggregators_and_filters_get_theirs()
    {
        var heard = new List<string>();
        var aggregator = new Listening(heard);
        Filter filter = new ListeningFilter(heard, "filter");
        LambdaComponent Named(string name) =>
            new((type, _) => { if (type == EventTypes.RoundStarted) heard.Add(name); });
        await Sites.RunAsync(
            new FedAvg { Rounds = 1, Validation = ValidationMode.None, Aggregator = aggregator }, Initial, f => f
            .AddServerComponent(Named("first")).AddServerComponent(Named("second"))
            .AddServerFilter(FilterPlace.ServerOut, filter)
            .AddServerFilter(FilterPlace.ServerIn, filter) // one instance, two places: its events come once
            .AddServerComponent(Named("third")), Sites.Adding(1));
        Assert.That(heard, Is.EqualTo(new[] { "aggregator", "first", "second", "filter", "third" }));
    }

    [Test]
    public async Task Events_carry_what_they_are_about()
    {
        var seen = new List<string>();
        var component = new LambdaComponent((type, context) =>
        {
            if (type is EventTypes.BeforeContributionAccept or EventTypes.AfterContributionAccept)
                seen.Add(
                    $"{type} {context.Get(ContextKeys.Contribution).Site} {context.Peer} "
                    + $"{context.Get(ContextKeys.CurrentRound)}");
            if (type is EventTypes.InitialModelLoaded or EventTypes.AfterShareableToLearnable
                or EventTypes.GlobalBestModelAvailable or EventTypes.RoundDone)
                seen.Add(
                    $"{type} {context.Get(ContextKeys.GlobalModel).Values()[0]} "
                    + $"{context.Get(ContextKeys.CurrentRound)}");
        });
        await Sites.RunAsync(new FedAvg { Rounds = 1 }, Initial, f => f.AddServerComponent(component), Sites.Adding(1));
        Assert.That(seen, Is.EqualTo(new[]
        {
            $"{EventTypes.InitialModelLoaded} 1 0", $"{EventTypes.BeforeContributionAccept} site-1 site-1 1",
                $"{EventTypes.AfterContributionAccept} site-1 site-1 1",
            $"{EventTypes.AfterShareableToLearnable} 2 1", $"{EventTypes.GlobalBestModelAvailable} 2 1",
            $"{EventTypes.RoundDone} 2 1",
        }));
    }

    [Test]
    public async Task A_handlers_exception_is_logged_and_stops_nothing()
    {
        var log = new LogRecorder();
        var recorder = new EventRecorder();
        var faulty = new LambdaComponent((type, _) => throw new InvalidDataException($"cannot handle {type}"));
        var federation = await Sites.RunAsync(Sites.Training(rounds: 2), Initial, f => f.UseLogging(log)
            .AddServerComponent(faulty).AddServerComponent(recorder)
            .ConfigureSites((site, _) => site.AddComponent(faulty).AddComponent(recorder)), Sites.Adding(1));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 3f }));
        var logged = log.Entries.Where(e => e.Id == 1).ToArray();
        Assert.That(
            logged, Has.Length.EqualTo(recorder.Events.Count),
            "every event was thrown at, and came to the next component all the same");
        Assert.That(
            logged.Select(e => e.Message),
            Has.Some.Contains(
                "site-1: LambdaComponent threw while handling _before_task_execution").And.Some.StartsWith("server: "));
        Assert.That(logged.Select(e => e.Exception), Is.All.InstanceOf<InvalidDataException>());
    }

    [Test]
    public void The_run_ends_at_both_sides_whatever_ended_it()
    {
        var (server, site) = (new EventRecorder(), new EventRecorder());
        Assert.That(
            () =>
            Sites.RunAsync(
                Sites.Training(), Initial, f => f.AddServerComponent(server)
                .ConfigureSites((s, _) => s.AddComponent(site)), Sites.Throwing("x")),
                Throws.InstanceOf<TooFewResponsesException>());
        Assert.That(
            server.Types.TakeLast(3),
            Is.EqualTo(new[] { EventTypes.EndWorkflow, EventTypes.AboutToEndRun, EventTypes.EndRun }));
        Assert.That(site.Types.TakeLast(2), Is.EqualTo(new[] { EventTypes.AboutToEndRun, EventTypes.EndRun }));
    }

    private static readonly string[] ServerEvents =
    [
        EventTypes.StartRun, EventTypes.StartWorkflow, EventTypes.RoundStarted, EventTypes.BeforeTrainTask,
        EventTypes.BeforeTaskDataFilter, EventTypes.AfterTaskDataFilter, EventTypes.BeforeTaskResultFilter,
        EventTypes.BeforeProcessSubmission, EventTypes.AfterProcessSubmission, EventTypes.BeforeAggregation,
        EventTypes.BeforeLearnablePersist, EventTypes.RoundDone, EventTypes.EndRun,
    ];

    private static readonly string[] SiteEvents =
    [
        EventTypes.AboutToStartRun, EventTypes.StartRun, EventTypes.BeforeTaskDataFilter,
        EventTypes.BeforeTaskExecution, EventTypes.AfterTaskResultFilter,
        EventTypes.BeforeSendTaskResult, EventTypes.AfterSendTaskResult,
    ];

    [TestCaseSource(nameof(ServerEvents))]
    public void A_panic_at_the_server_stops_the_job_with_its_reason(string when) =>
        Panics("server", when, (f, component) => f.AddServerComponent(component));

    [TestCaseSource(nameof(SiteEvents))]
    public void A_panic_at_a_site_stops_the_job_with_its_reason(string when) =>
        Panics(
            "site-2", when, (f, component) =>
            f.ConfigureSites((site, info) => { if (info.Index == 1) site.AddComponent(component); }));

    private static void Panics(string who, string when, Action<FederationBuilder, FLComponent> add)
    {
        var after = false;
        var errors = 0;
        var panicking = new LambdaComponent((type, context) =>
        {
            if (type == EventTypes.FatalSystemError) errors++;
            if (type != when) return;
            context.Panic("the disk burns");
            after = true;
        });
        var failure = Assert.ThrowsAsync<FlarePanicException>(
            () => Sites.RunAsync(
                Sites.Training(rounds: 1000), Initial, f => add(f, panicking), Sites.Adding(1), Sites.Adding(1)))!;
        Assert.That(
            (failure.ErrorId, failure.Origin, failure.Reason), Is.EqualTo((ErrorIds.Panic, who, "the disk burns")));
        Assert.That(failure.Message, Does.Contain($"{who} stopped the job: the disk burns"));
        Assert.That((after, errors), Is.EqualTo((false, 1)));
    }

    [Test]
    public void A_panic_in_an_executor_or_a_workflow_or_a_filter_stops_the_job_too()
    {
        var executor = new Scripted((_, _, context, _) => { context.Panic("in executor"); return default; });
        Assert.That(
            () => Sites.RunAsync(Sites.Training(rounds: 1000), Initial, Sites.Adding(1), executor),
            Throws.TypeOf<FlarePanicException>().With.Property("Reason").EqualTo("in executor"));
        Assert.That(
            () =>
            Sites.RunAsync(
                new Workflow((federation, _) => { federation.Context.Panic("in workflow"); return Task.CompletedTask;
                }), Initial, Sites.Adding(1)), Throws.TypeOf<FlarePanicException>().With.Property("Reason")
                    .EqualTo("in workflow"));
        foreach (var place in new[] { FilterPlace.ServerOut, FilterPlace.ServerIn })
            Assert.That(
                () =>
                Sites.RunAsync(
                    Sites.Training(rounds: 1000), Initial,
                    f => f.AddServerFilter(
                        place, new LambdaFilter((_, context) => { context.Panic("in filter"); return null!; })),
                        Sites.Adding(1)),
                Throws.TypeOf<FlarePanicException>().With.Property("Reason").EqualTo("in filter"));
    }

    [Test]
    public void A_panic_in_the_handler_of_a_panic_does_not_go_round_in_circles()
    {
        var worse = new LambdaComponent(
            (type, context) => { if (type is EventTypes.RoundStarted or EventTypes.FatalSystemError)
                context.Panic(type); });
        Assert.That(
            () => Sites.RunAsync(Sites.Training(), Initial, f => f.AddServerComponent(worse), Sites.Adding(1)),
            Throws.TypeOf<FlarePanicException>().With.Property("Reason").EqualTo(EventTypes.RoundStarted));
    }

    [Test]
    public async Task Federated_events_arrive_both_ways_in_sequence_from_the_first_task_on_whatever_the_clock_does()
    {
        // The wall clock runs backwards: order must not come from it.
        var time = new ManualTime { WallClock = now => DateTimeOffset.UnixEpoch - now };
        var (atServer, atSites) = (new List<string>(), new List<string>());
        var gate = new Lock();
        void Note(List<string> list, FLContext context, string type)
        {
            if (!type.StartsWith("my", StringComparison.Ordinal)) return;
            lock (gate)
                list.Add(
                    $"{context.Identity}<{context.Get(ContextKeys.EventOrigin)} "
                    + $"{context.Get(ContextKeys.EventSequence)} {context.Get(ContextKeys.EventData).Body["n"]}");
        }
        Shareable Number(int n) => new(new() { ["n"] = n });
        var server = new LambdaComponent((type, context) =>
        {
            Note(atServer, context, type);
            // no site is there yet
            if (type == EventTypes.StartRun) context.FireFederated("my server event", Number(0));
            if (type == EventTypes.RoundStarted) for (var i = 1; i <= 3; i++)
                context.FireFederated("my server event", Number(i));
        });
        await Sites.RunAsync(
            new FedAvg { Rounds = 1, MinSites = 2, Validation = ValidationMode.None }, Initial, f => f.UseTime(time)
            .AddServerComponent(server)
            .ConfigureSites((site, _) => site.AddComponent(new LambdaComponent((type, context) =>
        {
            Note(atSites, context, type);
            // before the server has said a word
            if (type == EventTypes.StartRun) context.FireFederated("my site event", Number(0));
            if (type == EventTypes.BeforeTaskExecution)
                for (var i = 1; i <= 3; i++)
                {
                    time.Advance(TimeSpan.FromMilliseconds(1));
                    context.FireFederated("my site event", Number(i));
                }
        }))), Sites.Adding(1), Sites.Adding(1));
        foreach (var site in new[] { "site-1", "site-2" })
        {
            Assert.That(
                atServer.Where(e => e.Contains(site, StringComparison.Ordinal)),
                Is.EqualTo(Enumerable.Range(0, 4).Select(n => $"server<{site} {n + 1} {n}")));
            Assert.That(
                atSites.Where(e => e.StartsWith(site, StringComparison.Ordinal)),
                Is.EqualTo(Enumerable.Range(0, 4).Select(n => $"{site}<server {n + 1} {n}")));
        }
    }

    private sealed class Listening(List<string> heard) : Aggregator
    {
        private readonly ExactAggregator _inner = new();
        public override bool NeedsSingleUpdates => false;
        protected internal override void HandleEvent(
            string eventType, FLContext context) { if (eventType == EventTypes.RoundStarted) heard.Add("aggregator"); }
        public override void Begin(ControllerContext federation, int round) => _inner.Begin(federation, round);
        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort) =>
            _inner.AcceptAsync(contribution, abort);
        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => _inner.CompleteAsync(abort);
    }

    private sealed class ListeningFilter(List<string> heard, string name) : Filter
    {
        protected internal override void HandleEvent(
            string eventType, FLContext context) { if (eventType == EventTypes.RoundStarted) heard.Add(name); }
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) => ValueTask.FromResult(message);
    }
}
