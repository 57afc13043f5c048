using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>What the runtime and the application's code log is in scopes that say what it is about.</summary>
public class LogScopeTests
{
    private static StateDict Initial => Sites.Model(1);

    /// <summary>The exact mean, with a word for each step.</summary>
    private sealed class Talking(ILogger log) : Aggregator
    {
        private readonly ExactAggregator _inner = new();
        private ControllerContext? _federation;

        public override bool NeedsSingleUpdates => false;

        public override void Begin(ControllerContext federation, int round)
        {
            _federation = federation;
            log.LogInformation("begin");
            _inner.Begin(federation, round);
        }

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort)
        {
            log.LogInformation("accept");
            return _inner.AcceptAsync(contribution, abort);
        }

        public override async ValueTask<StateDict> CompleteAsync(CancellationToken abort)
        {
            await _federation!.Compute.RunAsync(() => log.LogInformation("complete"));
            return await _inner.CompleteAsync(abort);
        }
    }

    private sealed class TalkingExecutor(ILogger log) : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            log.LogInformation("before");
            await Task.Yield();
            await Task.Run(() => log.LogInformation("elsewhere"), abort);
            context.Logger.LogInformation("by the context");
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        }

        protected internal override ValueTask EndRunAsync(FLContext context)
        {
            log.LogInformation("end");
            return default;
        }
    }

    private static void Tell(ILogger log, string text) => log.Log(LogLevel.Information, 0, text, null, (t, _) => t);

    private static LambdaFilter TalkingFilter(ScopeRecorder logs, FilterPlace place)
    {
        var log = logs.CreateLogger(place.ToString());
        return new LambdaFilter((message, context) =>
        {
            log.LogInformation("filter");
            context.Logger.LogInformation("filter, by the context");
            return message;
        });
    }

    private static async Task<ScopeRecorder> RunAsync()
    {
        var logs = new ScopeRecorder();
        var (server, site) = (logs.CreateLogger("server component"), logs.CreateLogger("site component"));
        await using var federation = Federation.InProcess(f => f
            .UseJobId("digits")
            .UseLogging(logs)
            .AddSites(2, _ => new TalkingExecutor(logs.CreateLogger("executor")))
            .AddServerFilter(FilterPlace.ServerOut, TalkingFilter(logs, FilterPlace.ServerOut))
            .AddServerFilter(FilterPlace.ServerIn, TalkingFilter(logs, FilterPlace.ServerIn))
            .AddServerComponent(new LambdaComponent((type, _) => Tell(server, type)))
            .ConfigureSites((definition, _) => definition
                .AddFilter(FilterPlace.SiteIn, TalkingFilter(logs, FilterPlace.SiteIn))
                .AddFilter(FilterPlace.SiteOut, TalkingFilter(logs, FilterPlace.SiteOut))
                .AddComponent(new LambdaComponent((type, _) => Tell(site, type))))
            .UseController(new FedAvg
            {
                Rounds = 2, Validation = ValidationMode.None, Aggregator = new Talking(logs.CreateLogger("aggregator")),
            }));
        await federation.RunToEndAsync(Initial).WaitAsync(Patience.Long);
        return logs;
    }

    [Test]
    public async Task Every_line_is_in_the_scope_of_its_job_and_each_key_is_there_once()
    {
        var logs = await RunAsync();
        Assert.That(logs.Lines, Has.Count.GreaterThan(60));
        foreach (var line in logs.Lines)
        {
            Assert.That(line[LogScopes.Job], Is.EqualTo("digits"), line.Message);
            Assert.That(line.Scopes.Select(s => s.Key), Is.Unique, line.Message);
        }
    }

    [Test]
    public async Task An_executors_lines_say_job_site_task_and_round_whatever_logger_writes_them()
    {
        var logs = await RunAsync();
        string[] tasks =
            ["digits|site-1|train|1", "digits|site-1|train|2", "digits|site-2|train|1", "digits|site-2|train|2"];
        Assert.That(
            logs.About("executor"),
            Is.EquivalentTo((string[])["digits|site-1||", "digits|site-2||", .. tasks]));
        foreach (var place in Enum.GetNames<FilterPlace>()) Assert.That(logs.About(place), Is.EqualTo(tasks), place);
        var byContext = logs.Lines.Where(l => l.Message.EndsWith("by the context", StringComparison.Ordinal));
        Assert.That(byContext.Select(l => l.About).Distinct().Order(StringComparer.Ordinal), Is.EqualTo(tasks));
        Assert.That(logs.Lines.Where(l => l.Message == "end").Select(l => l[LogScopes.Task]), Is.All.Null);
    }

    [Test]
    public async Task An_aggregators_lines_say_round_and_contribution_and_a_components_what_the_event_is_about()
    {
        var logs = await RunAsync();
        string[] Of(string message) =>
            [.. logs.Lines.Where(l => l.Message == message).Select(l => l.About).Distinct()
                .Order(StringComparer.Ordinal)];
        Assert.That(Of("begin"), Is.EqualTo(new[] { "digits|||1", "digits|||2" }));
        Assert.That(Of("complete"), Is.EqualTo(Of("begin")));
        Assert.That(Of("accept"), Has.Length.EqualTo(4).And.Contains("digits|site-2|train|1"));
        Assert.That(Of(EventTypes.BeforeSendTaskResult), Is.EqualTo(Of("accept")));
        Assert.That(Of(EventTypes.AfterContributionAccept), Is.EqualTo(Of("accept")));
        Assert.That(Of(EventTypes.AfterLearnablePersist), Is.EqualTo(Of("begin")));
        Assert.That(Of(EventTypes.StartWorkflow), Is.EqualTo(new[] { "digits|||" }));
        Assert.That(Of(EventTypes.AboutToStartRun), Is.EqualTo(new[] { "digits|site-1||", "digits|site-2||" }));
    }

    [Test]
    public async Task The_runtimes_own_lines_say_what_they_are_about()
    {
        var logs = new ScopeRecorder();
        await Sites.RunAsync(
            Sites.Training(), Initial, f => f.UseLogging(logs), Sites.Adding(1), Sites.Throwing("no data"),
            Sites.Answering(_ => Sites.Diff(Sites.Model(1, 2), 1)));
        string About(string words) => logs.Lines.First(l => l.Message.Contains(words, StringComparison.Ordinal)).About;
        Assert.That(About("was refused"), Is.EqualTo("job|site-3|train|1"));
        Assert.That(About("failed task"), Is.EqualTo("job|site-2|train|1"));
        Assert.That(About("site-1 joined"), Is.EqualTo("job|site-1||"));
        Assert.That(About("Round 1 committed"), Is.EqualTo("job|||1"));
        Assert.That(About("is done"), Is.EqualTo("job|||"));
        var value = logs.Lines.First(l => l.Message.StartsWith("Round 1", StringComparison.Ordinal))[LogScopes.Round];
        Assert.That(value, Is.InstanceOf<int>());
    }

    [Test]
    public async Task A_workflow_of_ones_own_logs_in_its_job_and_round()
    {
        var logs = new ScopeRecorder();
        var own = logs.CreateLogger("own");
        await Sites.RunAsync(new Workflow(async (federation, abort) =>
        {
            own.LogInformation("begins");
            for (var round = 1; round <= 2; round++)
            {
                using var scope = round == 2 ? LogScopes.Begin(federation, round) : null;
                await foreach (var answer in federation.BroadcastAsync(
                    FlareTask.Train(round, federation.Model), null, abort))
                {
                    federation.Logger.LogInformation("answer");
                    own.LogInformation("own answer");
                    using (LogScopes.Begin(federation, round, answer)) own.LogInformation("of its site");
                }
                await federation.CommitAsync(round, Sites.Model(round), abort);
            }
        }), Initial, f => f.UseLogging(logs), Sites.Adding(1));
        string[] Of(string message) => [.. logs.Lines.Where(l => l.Message == message).Select(l => l.About)];
        Assert.That(Of("begins"), Is.EqualTo(new[] { "job|||" }));
        Assert.That(Of("answer"), Is.EqualTo(new[] { "job|||1", "job|||2" }));
        Assert.That(Of("own answer"), Is.EqualTo(new[] { "job|||", "job|||2" }));
        Assert.That(Of("of its site"), Is.EqualTo(new[] { "job|site-1|train|1", "job|site-1|train|2" }));
        Assert.That(logs.Lines.Select(l => l.Scopes.Select(s => s.Key)), Is.All.Unique);
    }

    [Test]
    public async Task Two_federations_of_one_host_are_told_apart_one_within_the_others_executor_too()
    {
        var logs = new ScopeRecorder();
        await Sites.RunAsync(Sites.Training(), Initial, f => f.UseLogging(logs).UseJobId("outer"),
            new Scripted(async (_, input, context, _) =>
            {
                await Sites.RunAsync(
                    Sites.Training(), Initial, f => f.UseLogging(logs).UseJobId("inner"), Sites.Adding(1));
                context.Logger.LogInformation("again outside");
                return Sites.Diff(Dxo.From(input).Tensors, 1);
            }));
        string[] Of(string message) => [.. logs.Lines.Where(l => l.Message == message).Select(l => l.About)];
        Assert.That(Of("again outside"), Is.EqualTo(new[] { "outer|site-1|train|1" }));
        var ends = logs.Lines.Where(l => l.Message.Contains("is done", StringComparison.Ordinal));
        Assert.That(ends.Select(l => l.Scopes.Last(s => s.Key == LogScopes.Job).Value),
            Is.EqualTo(new[] { "inner", "outer" }));
    }

    [Test]
    public async Task A_server_and_a_site_built_by_themselves_log_in_scopes()
    {
        var (server, site) = (new ScopeRecorder(), new ScopeRecorder());
        await Hosts.RunAsync(
            new ServerBuilder().UseInitialModel(Initial).AddSites("a").UseController(Sites.Training())
                .UseLogging(server).UseJobId("digits").Build(),
            new SiteBuilder("a").UseExecutor(() => new TalkingExecutor(site.CreateLogger("executor"))).UseLogging(site)
                .UseJobId("digits").Build());
        Assert.That(server.Lines.Select(l => l[LogScopes.Job]), Is.Not.Empty.And.All.EqualTo("digits"));
        Assert.That(site.About("executor"), Is.EquivalentTo(new[] { "digits|a||", "digits|a|train|1" }));
    }

    [Test]
    public async Task Loggers_whose_scopes_throw_do_not_end_the_run()
    {
        foreach (var atEnd in new[] { false, true })
        {
            var federation = await Sites.RunAsync(
                Sites.Training(), Initial, f => f.UseLogging(new Hostile(atEnd)), Sites.Adding(1));
            Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        }
    }

    private sealed class Hostile(bool atEnd) : ILoggerFactory, ILogger, IDisposable
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull =>
            atEnd ? new Scope() : throw new InvalidOperationException("no scopes here");

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) { }

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public void Dispose() { }

        private sealed class Scope : IDisposable
        {
            public void Dispose() => throw new InvalidOperationException("never ends");
        }
    }
}
