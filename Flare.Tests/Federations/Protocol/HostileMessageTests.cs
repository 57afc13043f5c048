using Flare.Runtime;
using Flare.Tests.Core.Messages;

namespace Flare.Tests.Federations;

/// <summary>
/// Messages that are deep, large or not theirs to send: the process lives, memory stays bounded, nobody is taken in.
/// </summary>
public class HostileMessageTests
{
    private const int FarTooDeep = 200_000;

    private static StateDict Initial => Sites.Model(1);

    private static Shareable Good(StateDict model) => Sites.Diff(model, 1);

    private static readonly Func<Shareable, Shareable>[] MadeDeep =
    [
        _ => new Shareable(MessageWalkTests.Deep(FarTooDeep)),
        _ => new Shareable(MessageWalkTests.DeepInLists(FarTooDeep)),
        good =>
        {
            var message = good.WithOwnHeaders();
            message.Headers["x"] = MessageWalkTests.Deep(FarTooDeep);
            return message;
        },
    ];

    [Test]
    public async Task A_deep_answer_is_refused_and_the_others_count([ValueSource(nameof(MadeDeep))]
    Func<Shareable, Shareable> deep)
    {
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, Sites.Adding(1), Sites.Answering(m => deep(Good(m))));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        Assert.That(
            federation.Rounds[0].Sites[1].Reason,
            Does.Contain(nameof(ReturnCode.ExecutionResultError)).And.Contain("deeper than 64"));
    }

    [Test]
    public async Task A_filter_that_makes_a_deep_message_stops_it_and_is_named(
        [Values] FilterPlace place, [ValueSource(nameof(MadeDeep))] Func<Shareable, Shareable> deep)
    {
        var filter = new LambdaFilter(
            (m, context) => context.Identity == "site-2" || context.Peer == "site-2" ? deep(m) : m);
        var federation = await Sites.RunAsync(
            Sites.Training(),
            Initial,
            f =>
            {
                if (place is FilterPlace.ServerIn or FilterPlace.ServerOut) f.AddServerFilter(place, filter);
                else f.ConfigureSites((site, _) => site.AddFilter(place, filter));
            },
            Sites.Adding(1),
            Sites.Adding(100));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        Assert.That(
            federation.Rounds[0].Sites[1].Reason, Does.Contain(nameof(LambdaFilter)).And.Contain("deeper than 64"));
    }

    [Test]
    public async Task Events_tasks_and_the_workflows_state_may_not_be_deep()
    {
        var refused = new List<string>();
        void Refused(string where, Action attempt)
        {
            var error = Assert.Throws<FlareException>(attempt)!;
            Assert.That(error.Message, Does.Contain("deeper than 64"));
            lock (refused) refused.Add(where);
        }

        var key = new FLContextKey<FlareMap>("deep", PropertyVisibility.Public);
        var site = new Scripted((_, input, context, _) =>
        {
            Refused("event", () => context.FireFederated("mine", new Shareable(MessageWalkTests.Deep(FarTooDeep))));
            Assert.Throws<FlareException>(() => context.Set(key, MessageWalkTests.Deep(FarTooDeep)));
            Assert.Throws<FlareException>(() => context.Set(key, MessageWalkTests.Deep(63)));
            context.Set(key, MessageWalkTests.Deep(62));
            return ValueTask.FromResult(Good(Dxo.From(input).Tensors));
        });
        await Sites.RunAsync(
            new Workflow(async (federation, abort) =>
            {
                Refused(
                    "task", () => _ = new FlareTask("t", 1, new Shareable(MessageWalkTests.DeepInLists(FarTooDeep))));
                await foreach (var _ in federation.BroadcastAsync(
                    FlareTask.Train(1, federation.Model), new(), abort)) { }
                federation.State.Values["deep"] = MessageWalkTests.Deep(FarTooDeep);
                var error = await Outcome.OfAsync(() => federation.CommitAsync(1, Sites.Model(2), new(), abort));
                Assert.That(error, Is.TypeOf<FlareException>().With.Message.Contains("deeper than 64"));
                lock (refused) refused.Add("state");
            }),
            Initial,
            site);
        Assert.That(refused, Is.EqualTo(new[] { "task", "event", "state" }));
    }

    private static readonly FlareValue[] Large =
    [
        new string('x', 500_000),
        FlareValue.List([.. Enumerable.Range(0, 50_000).Select(i => (FlareValue)i)]),
        new FlareMap { [new string('n', 500_000)] = 1 },
        new byte[1_000_000],
    ];

    [Test]
    public async Task Answers_without_a_tensor_wait_for_permits_too([ValueSource(nameof(Large))] FlareValue large)
    {
        var read = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        string[] sites = [.. Enumerable.Range(1, 12).Select(i => $"site-{i:d2}")]; // the default is 8 permits
        await using var bench = new ServerBench(
            async (federation, abort) =>
            {
                var responses = federation.BroadcastAsync(
                    new FlareTask("ask", 1, new Shareable()), new() { MinResponses = sites.Length }, abort);
                await read.Task;
                await foreach (var _ in responses) { }
            },
            sites);
        var offers = new Dictionary<string, TaskOffer>();
        foreach (var site in sites) offers[site] = await bench.JoinAsync(site);
        foreach (var site in sites)
        {
            var answer = new Shareable(new() { ["v"] = large }).Freeze();
            await bench.SayAsync(new(site, 1, 1, new TaskResult(offers[site].Token, answer)));
        }
        await bench.SettleAsync();
        var taken = bench.Events.Types.Count(t => t == EventTypes.BeforeProcessSubmission);
        Assert.That(taken, Is.EqualTo(8), "further answers are at their sites still");

        read.SetResult();
        foreach (var site in sites.Skip(8))
        {
            await bench.NextAsync<UploadPermit>(site);
            var answer = new Shareable(new() { ["v"] = large }).Freeze();
            await bench.SayAsync(new(site, 1, 1, new TaskResult(offers[site].Token, answer)));
        }
        await bench.EndAsync();
        Assert.That(bench.Events.Types.Count(t => t == EventTypes.BeforeProcessSubmission), Is.EqualTo(12));
    }

    private static readonly string[] RuntimesEvents =
        [.. typeof(EventTypes).GetFields().Where(f => f.IsLiteral).Select(f => (string)f.GetRawConstantValue()!)];

    [Test]
    public async Task Nobody_fires_the_runtimes_own_events_at_the_other_side()
    {
        var refused = 0;
        void TryAll(FLContext context)
        {
            foreach (var name in RuntimesEvents)
            {
                Assert.That(
                    () => context.FireFederated(name, new Shareable()),
                    Throws.ArgumentException.With.Message.Contains($"'{name}'").And.Message.Contains(
                        "name of its own"));
                Interlocked.Increment(ref refused);
            }
        }

        await Sites.RunAsync(
            Sites.Training(),
            Initial,
            f => f.AddServerComponent(
                new LambdaComponent((type, context) => { if (type == EventTypes.RoundStarted) TryAll(context); })),
            new Scripted((_, input, context, _) =>
            {
                TryAll(context);
                return ValueTask.FromResult(Good(Dxo.From(input).Tensors));
            }));
        Assert.That(RuntimesEvents, Has.Length.GreaterThan(30));
        Assert.That(refused, Is.EqualTo(2 * RuntimesEvents.Length));
    }

    [Test]
    public async Task A_server_does_not_pass_on_the_runtimes_events_that_a_site_sends_all_the_same()
    {
        await using var bench = new ServerBench(
            async (federation, abort) =>
            {
                await foreach (var _ in federation.BroadcastAsync(
                    FlareTask.Train(1, federation.Model), new(), abort)) { }
            },
            "site-1");
        var offer = await bench.JoinAsync("site-1");
        var before = bench.Events.Types.Count();
        long sequence = 0;
        foreach (var name in RuntimesEvents.Append("mine"))
        {
            var e = new FederatedEvent(++sequence, name, new Shareable().Freeze());
            await bench.SayAsync(new("site-1", 1, 1, new SiteEvent(e)));
        }
        await bench.SettleAsync();
        Assert.That(
            bench.Events.Types.Skip(before), Is.EqualTo(new[] { "mine" }),
            "one that is refused holds up none behind it");
        await bench.SayAsync(ServerBench.Answer("site-1", offer, 1));
        await bench.EndAsync();
    }

    [Test]
    public async Task A_site_cannot_hand_over_what_is_not_its_own()
    {
        // The model that the task brought is frozen, and others hold it: the server, and the other site, which reads it
        // later.
        var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var taker = Sites.Answering(m => Dxo.Weights(m.HandOver(), steps: 1).ToShareable());
        var reader = new Scripted(async (_, input, _, abort) =>
        {
            await first.Task.WaitAsync(abort);
            var model = Dxo.From(input).Tensors;
            var copy = model.Clone();
            return Dxo.Weights(copy, steps: 1).ToShareable();
        });
        StateDict? held = null;
        var values = new List<float>();
        await Sites.RunAsync(
            new Workflow(async (federation, abort) =>
            {
                held = federation.Model;
                await foreach (var contribution in federation.BroadcastAsync(
                    FlareTask.Train(1, held), new() { MinResponses = 2 }, abort))
                {
                    values.Add(contribution.Data!.Tensors.Values()[0]);
                    contribution.Dispose();
                    first.TrySetResult();
                }
            }),
            Sites.Model(7),
            f => f.UseParallelism(2),
            taker,
            reader);
        Assert.That(values, Is.EqualTo(new[] { 7f, 7f }));
        Assert.That(held!.Values(), Is.EqualTo(new[] { 7f }), "nobody gave back what others hold");
    }
}

file static class Outcome
{
    public static async Task<Exception?> OfAsync<T>(Func<Task<T>> attempt)
    {
        try
        {
            await attempt();
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }
}
