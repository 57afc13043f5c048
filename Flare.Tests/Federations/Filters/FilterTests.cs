namespace Flare.Tests.Federations;

/// <summary>Filters at their four places.</summary>
public class FilterTests
{
    private static StateDict Initial => Sites.Model(1);

    /// <summary>Passes every message on as a new one, and notes that it was there.</summary>
    private sealed class Noting(List<string> notes, string name) : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
        {
            lock (notes)
                notes.Add($"{name} at {context.Identity} for {context.Peer}: {context.TaskName} {context.Round}");
            return ValueTask.FromResult(Dxo.From(message).ToShareable());
        }
    }

    [Test]
    public async Task Filters_work_at_four_places_in_order_and_may_replace_the_message()
    {
        var notes = new List<string>();
        var executor = new Scripted((task, input, _, _) =>
        {
            lock (notes) notes.Add("executor");
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        var federation = await Sites.RunAsync(Sites.Training(), Initial, f => f
            .AddServerFilter(FilterPlace.ServerIn, new Noting(notes, "in 1"))
            .AddServerFilter(FilterPlace.ServerIn, new Noting(notes, "in 2"))
            .AddServerFilter(FilterPlace.ServerOut, new Noting(notes, "out 1"))
            .AddServerFilter(FilterPlace.ServerOut, new Noting(notes, "out 2"), TaskNames.Train)
            .AddServerFilter(FilterPlace.ServerOut, new Noting(notes, "never"), TaskNames.Validate, "other")
            .ConfigureSites((site, _) => site
                .AddFilter(FilterPlace.SiteIn, new Noting(notes, "site in 1"))
                .AddFilter(FilterPlace.SiteIn, new Noting(notes, "site in 2"))
                .AddFilter(FilterPlace.SiteOut, new Noting(notes, "never"), "other")
                .AddFilter(FilterPlace.SiteOut, new Noting(notes, "site out 1"))
                .AddFilter(FilterPlace.SiteOut, new Noting(notes, "site out 2"))), executor);
        Assert.That(notes, Is.EqualTo(new[]
        {
            "out 1 at server for site-1: train 1", "out 2 at server for site-1: train 1",
            "site in 1 at site-1 for server: train 1", "site in 2 at site-1 for server: train 1", "executor",
            "site out 1 at site-1 for server: train 1", "site out 2 at site-1 for server: train 1",
            "in 1 at server for site-1: train 1", "in 2 at server for site-1: train 1",
        }));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        Assert.That(federation.Rounds[0].Sites[0].NumSteps, Is.EqualTo(1));
    }

    [Test]
    public async Task Outermost_filters_are_next_to_the_link_whenever_they_are_added()
    {
        var notes = new List<string>();
        await Sites.RunAsync(Sites.Training(), Initial, f => f.ConfigureSites((site, _) => site
            .AddFilter(FilterPlace.SiteIn, new Noting(notes, "in 1"))
            .AddFilter(FilterPlace.SiteOut, new Noting(notes, "out 1"))
            .AddOutermostFilter(FilterPlace.SiteIn, new Noting(notes, "open"))
            .AddOutermostFilter(FilterPlace.SiteOut, new Noting(notes, "close"))
            .AddOutermostFilter(FilterPlace.SiteIn, new Noting(notes, "open outer"))
            .AddOutermostFilter(FilterPlace.SiteOut, new Noting(notes, "close outer"))
            .AddOutermostFilter(FilterPlace.SiteIn, new Noting(notes, "never"), "other")
            .AddFilter(FilterPlace.SiteIn, new Noting(notes, "in 2"))
            .AddFilter(FilterPlace.SiteOut, new Noting(notes, "out 2"))), Sites.Adding(1));
        Assert.That(
            notes.Select(n => n.Split(" at ")[0]),
            Is.EqualTo(new[] { "open outer", "open", "in 1", "in 2", "out 1", "out 2", "close", "close outer" }));
        Assert.That(
            () => new SiteDefinition("a", Sites.Adding(1)).AddOutermostFilter(
                FilterPlace.ServerIn, new Noting(notes, "")), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public async Task What_a_filter_changes_is_what_goes_on()
    {
        static Shareable Doubled(Shareable message)
        {
            var dxo = Dxo.From(message);
            return new Dxo(dxo.Kind, dxo.Tensors * 2, dxo.Values, dxo.Meta).ToShareable();
        }
        var doubling = new LambdaFilter((m, _) => Doubled(m));
        // sends back what it gets
        var executor = Sites.Answering(
            m => Dxo.WeightDiff(m.Clone()).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        var federation = await Sites.RunAsync(Sites.Training(), Initial, f => f
            .AddServerFilter(FilterPlace.ServerOut, doubling).AddServerFilter(FilterPlace.ServerIn, doubling)
            .ConfigureSites(
                (site, _) => site.AddFilter(FilterPlace.SiteIn, doubling).AddFilter(FilterPlace.SiteOut, doubling)),
                executor);
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1 + 16f }));
    }

    private static readonly Func<Shareable, FLContext, Shareable>[] Broken =
        [(_, _) => throw new InvalidDataException("no key"), (_, _) => null!];

    [Test]
    public async Task A_filter_that_fails_at_the_server_on_the_way_out_sends_nothing([ValueSource(nameof(Broken))]
    Func<Shareable, FLContext, Shareable> broken)
    {
        var calls = new List<string>();
        Executor Noted(string name) => new Scripted((_, input, _, _) =>
        {
            lock (calls) calls.Add(name);
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        var filter = new LambdaFilter((m, context) => context.Peer == "site-2" ? broken(m, context) : m);
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, f => f.AddServerFilter(FilterPlace.ServerOut, filter), Noted("one"),
            Noted("two"));
        Assert.That(calls, Is.EqualTo(new[] { "one" }));
        Assert.That(federation.Rounds[0].Sites[1].Status, Is.EqualTo(SiteStatus.Failed));
        Assert.That(federation.Rounds[0].Sites[1].Reason, Does.Contain("filter").And.Contain("nothing was sent"));
        Assert.That(federation.Rounds[0].Sites[1].Error!.Site, Is.EqualTo("site-2"));
    }

    [Test]
    public async Task A_filter_that_fails_at_the_server_on_the_way_in_uses_nothing([ValueSource(nameof(Broken))]
    Func<Shareable, FLContext, Shareable> broken)
    {
        var filter = new LambdaFilter((m, context) => context.Peer == "site-2" ? broken(m, context) : m);
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial, f => f.AddServerFilter(FilterPlace.ServerIn, filter), Sites.Adding(1),
            Sites.Adding(100));
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        Assert.That(federation.Rounds[0].Sites[1].Status, Is.EqualTo(SiteStatus.Rejected));
        Assert.That(
            federation.Rounds[0].Sites[1].Reason,
            Does.Contain("a filter of the server failed on the result, which is not used"));
    }

    [TestCase(FilterPlace.SiteIn, ReturnCode.TaskDataFilterError),
        TestCase(FilterPlace.SiteOut, ReturnCode.TaskResultFilterError)]
    public async Task A_filter_that_fails_at_a_site_sends_an_error_without_a_body(FilterPlace place, ReturnCode code)
    {
        foreach (var broken in Broken)
        {
            Shareable? reply = null;
            var listener = new LambdaComponent(
                (type, context) => { if (type == EventTypes.AfterProcessSubmission && context.Peer == "site-2")
                    reply = context.Get(ContextKeys.Message); });
            var ran = false;
            var federation = await Sites.RunAsync(Sites.Training(), Initial, f => f.AddServerComponent(listener)
                .ConfigureSites((site, info) => { if (info.Index == 1) site.AddFilter(place, new LambdaFilter(broken));
                }),
                Sites.Adding(1), Sites.Answering(m => { ran = true; return Sites.Diff(m, 100); }));
            Assert.That((reply!.ReturnCode, reply.Body.Count, reply.ContentType), Is.EqualTo((code, 0, (string?)null)));
            Assert.That(ran, Is.EqualTo(place == FilterPlace.SiteOut));
            Assert.That(federation.Rounds[0].Sites[1].Status, Is.EqualTo(SiteStatus.Failed));
            Assert.That(federation.Rounds[0].Sites[1].Reason, Does.Contain(code.ToString()));
            Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        }
    }

    [Test]
    public async Task Error_replies_pass_no_filter()
    {
        var seen = 0;
        var counting = new LambdaFilter((m, _) => { Interlocked.Increment(ref seen); return m; });
        await Sites.RunAsync(
            Sites.Training(), Initial, f => f.AddServerFilter(FilterPlace.ServerIn, counting)
            .ConfigureSites((site, _) => site.AddFilter(FilterPlace.SiteOut, counting)),
            Sites.Adding(1), Sites.Throwing("x"), Sites.Answering(_ => Shareable.Reply(ReturnCode.TaskUnknown)));
        Assert.That(seen, Is.EqualTo(2), "at the site and at the server, for the one good answer");
    }
}
