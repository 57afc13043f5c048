namespace Flare.Tests.Federations;

/// <summary>What the runtime attaches to messages, and what reaches the peer.</summary>
public class MessageFlowTests
{
    private static StateDict Initial => Sites.Model(1);

    private static readonly TestCaseData[] Replies =
    [
        new TestCaseData((Func<StateDict, Shareable>)(m => Sites.Diff(m, 1)), ReturnCode.Ok),
        new TestCaseData(
            (Func<StateDict, Shareable>)(_ => throw new InvalidDataException("x")), ReturnCode.ExecutionException),
        new TestCaseData(
            (Func<StateDict, Shareable>)(_ => Shareable.Reply(ReturnCode.TaskUnknown)), ReturnCode.TaskUnknown),
        new TestCaseData((Func<StateDict, Shareable>)(_ => null!), ReturnCode.EmptyResult),
        new TestCaseData(
            (Func<StateDict, Shareable>)(m => { var leak = Sites.Diff(m, 1); leak.ReturnCode = ReturnCode.Error;
            leak.Headers["note"] = "secret"; return leak; }), ReturnCode.Error),
    ];

    [TestCaseSource(nameof(Replies))]
    public async Task Every_reply_brings_back_task_id_workflow_round_and_cookies_and_an_error_has_no_body(
        Func<StateDict, Shareable> answer, ReturnCode code)
    {
        Shareable? reply = null;
        var listener = new LambdaComponent(
            (type, context) => { if (type == EventTypes.AfterProcessSubmission)
                reply = context.Get(ContextKeys.Message); });
        string? id = null;
        var executor = new Scripted((_, input, _, _) =>
        {
            id = input.Headers[HeaderNames.TaskId].AsText();
            return ValueTask.FromResult(answer(Dxo.From(input).Tensors));
        });
        await Sites.RunAsync(new Workflow(async (federation, abort) =>
        {
            var data = Dxo.Weights(federation.Model).ToShareable().WithCookie("ticket", "abc").WithCookie("n", 7);
            await foreach (var _ in federation.BroadcastAsync(
                new(TaskNames.Train, 5, data), new() { MinResponses = 0, Grace = TimeSpan.FromHours(1) }, abort)) { }
        }), Initial, f => f.AddServerComponent(listener), executor);
        Assert.That(reply!.ReturnCode, Is.EqualTo(code));
        Assert.That(
            (reply.TaskName, reply.Round, reply.Headers[HeaderNames.Workflow].AsText()),
            Is.EqualTo((TaskNames.Train, (int?)5, nameof(Workflow))));
        Assert.That(reply.Headers[HeaderNames.TaskId].AsText(), Is.EqualTo(id).And.Not.Null);
        Assert.That(reply.TryGetCookie("ticket", out var ticket) && ticket.AsText() == "abc");
        Assert.That(reply.TryGetCookie("n", out var n) && n.AsInteger() == 7);
        Assert.That(reply.Headers.IsReadOnly && reply.Body.IsReadOnly);
        if (code == ReturnCode.Ok) return;
        Assert.That(reply.Body.Count, Is.Zero);
        Assert.That(reply.Headers.Contains("note"), Is.False, "what passed no filter is not sent");
    }

    [Test]
    public async Task Public_properties_reach_the_peer_and_private_ones_do_not()
    {
        var hospital = new FLContextKey<string>("hospital", PropertyVisibility.Public, PropertyLifetime.Run);
        var beds = new FLContextKey<int>("beds", PropertyVisibility.Public);
        var secret = new FLContextKey<string>("secret", PropertyVisibility.Private, PropertyLifetime.Run);
        var policy = new FLContextKey<string>("policy", PropertyVisibility.Public, PropertyLifetime.Run);
        FlareMap? atServer = null, atSite = null, inContribution = null;
        var executor = new Scripted((_, input, context, _) =>
        {
            atSite = context.PeerProperties;
            context.Set(beds, 120);
            Assert.That(context.Get(hospital), Is.EqualTo("north"));
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        var server = new LambdaComponent((type, context) =>
        {
            if (type == EventTypes.StartRun) context.Set(policy, "strict");
            if (type == EventTypes.StartRun) context.Set(secret, "server's");
            if (type == EventTypes.AfterProcessSubmission) atServer = context.PeerProperties;
            if (type == EventTypes.BeforeContributionAccept) inContribution = context.PeerProperties;
        });
        await Sites.RunAsync(
            Sites.Training(), Initial, f => f.AddServerComponent(server)
            .ConfigureSites((site, _) => site.AddComponent(new LambdaComponent((type, context) =>
        {
            if (type != EventTypes.StartRun) return;
            context.Set(hospital, "north");
            context.Set(secret, "site's");
        }))), executor);
        Assert.That(atSite!.ContentEquals(new FlareMap { ["policy"] = "strict" }), atSite.ToString());
        Assert.That(
            atServer!.ContentEquals(new FlareMap { ["hospital"] = "north", ["beds"] = 120 }), atServer.ToString());
        Assert.That(inContribution, Is.SameAs(atServer));
    }

    [Test]
    public async Task A_context_says_who_where_and_which_round()
    {
        string? seen = null;
        ulong seed = 0;
        var executor = new Scripted((task, input, context, _) =>
        {
            seen =
                $"{context.Identity} {context.JobId} {context.Peer} {context.TaskName} "
                + $"{context.Round} {context.Token!.Value.Job}";
            seed = context.Seed("x");
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        await Sites.RunAsync(Sites.Training(rounds: 2), Initial, f => f.UseJobId("study-7").UseSeed(9), executor);
        Assert.That(seen, Is.EqualTo("site-1 study-7 server train 2 study-7"));
        Assert.That(seed, Is.EqualTo(Seeds.Derive(9, "site-1", "train", 2, "x")));
    }

    [Test]
    public async Task A_message_is_frozen_once_it_is_sent()
    {
        StateDict? kept = null;
        var executor = new Scripted((_, input, _, _) =>
        {
            Assert.That(Dxo.From(input).Tensors.IsReadOnly && input.Body.IsReadOnly && input.Headers.IsReadOnly);
            Assert.That(() => Dxo.From(input).Tensors.Fill(0), Throws.InvalidOperationException);
            kept = new StateDict(Dxo.From(input).Tensors.Layout);
            return ValueTask.FromResult(Dxo.WeightDiff(kept).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        });
        var run = await Sites.RunAsync(Sites.Training(), Initial, executor);
        Assert.That(run.Rounds[0].Accepted, Is.EqualTo(1));
        Assert.That(() => kept!.Fill(1), Throws.InvalidOperationException);
    }
}
