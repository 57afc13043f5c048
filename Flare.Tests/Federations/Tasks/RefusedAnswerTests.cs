using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>One site's odd answer is refused by name, and the job goes on with the others.</summary>
public class RefusedAnswerTests
{
    private static FedAvg Rounds(int rounds, Aggregator? aggregator = null) =>
        new() { Rounds = rounds, MinSites = 1, Validation = ValidationMode.None, Grace = TimeSpan.FromMinutes(5),
            Aggregator = aggregator };

    private static Executor Giant<T>(T value, long steps = long.MaxValue) where T : unmanaged => Sites.Answering(m =>
    {
        var diff = new StateDict(m.Layout);
        diff["w"].AsSpan<T>().Fill(value);
        return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, steps).ToShareable();
    });

    [Test]
    public async Task A_difference_that_would_take_the_model_out_of_range_is_refused_and_its_site_named()
    {
        var run = await Sites.RunAsync(Rounds(3), Sites.Model(1, 2), Giant(3e38f), Sites.Adding(1));
        Assert.That(
            run.Rounds.Select(r => r.Accepted), Is.EqualTo(new[] { 2, 1, 1 }),
            "the first is finite, and so is the model with it");
        Assert.That(
            run.Rounds[1].Sites[0].Reason,
            Does.Contain("would take the model's tensor 'w' out of the range of Float32"));
        Assert.That(run.Rounds[1].Sites[1].Status, Is.EqualTo(SiteStatus.Accepted));
    }

    [Test]
    public async Task So_it_is_of_other_types_and_of_large_answers_that_leave_the_loop()
    {
        var halves = new StateDictBuilder().Add<Half>("w", [(Half)40000]).Build();
        var run = await Sites.RunAsync(
            Rounds(1), halves, f => f.UseLimits(new() { SmallResultBytes = 0 }), Giant((Half)40000, 1),
            Sites.Answering(m => Sites.Diff(m, 1)));
        Assert.That(run.Rounds[0].Sites[0].Reason, Does.Contain("out of the range of Float16"));
        run = await Sites.RunAsync(
            Rounds(1), halves, f => f.UseLimits(new() { SmallResultBytes = 0 }), Giant(Half.PositiveInfinity, 1),
            Sites.Answering(m => Sites.Diff(m, 1)));
        Assert.That(
            run.Rounds[0].Sites[0].Reason, Does.Contain("beyond ±65504: have the site send Weights"),
            "from -40000 to 40000 no difference reaches");
        var doubles = new StateDictBuilder().Add<double>("w", [-1.5e308]).Build();
        run = await Sites.RunAsync(Rounds(1), doubles, Giant(-1.5e308, 1), Giant(1.5e308, 1));
        Assert.That(
            run.Rounds[0].Sites.Select(s => s.Status), Is.EqualTo(new[] { SiteStatus.Rejected, SiteStatus.Accepted }),
            "the other way it is finite");
    }

    [Test]
    public async Task What_is_just_within_the_range_counts()
    {
        var run = await Sites.RunAsync(Rounds(1), Sites.Model(float.MaxValue / 2), Giant(float.MaxValue / 2, 1));
        Assert.That(run.Model.Values(), Is.EqualTo(new[] { float.MaxValue }));
    }

    [TestCase(1), TestCase(4)]
    public async Task Tensors_that_two_sites_hand_over_are_one_sites(int rounds)
    {
        for (var round = 0; round < rounds; round++)
        {
            var shared = Sites.Model(2, 2).HandOver();
            var site = () => Sites.Answering(
                _ => Dxo.WeightDiff(shared).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
            var run = await Sites.RunAsync(
                Rounds(1), Sites.Model(1, 1), f => f.UseParallelism(2), site(), site(), Sites.Adding(2));
            Assert.That(run.Model.Values(), Is.All.EqualTo(3f));
            var refused = run.Rounds[0].Sites.Single(s => s.Status == SiteStatus.Rejected);
            Assert.That(refused.Reason, Does.StartWith("its tensors were handed over with another answer already"));
        }
    }

    [Test]
    public async Task Tensors_that_two_sites_share_without_handing_them_over_are_both_sites()
    {
        var shared = Sites.Model(2, 2).Freeze();
        var site = () => Sites.Answering(
            _ => Dxo.WeightDiff(shared).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable());
        var run = await Sites.RunAsync(Rounds(2), Sites.Model(1, 1), site(), site());
        Assert.That(run.Rounds.Select(r => r.Accepted), Is.All.EqualTo(2));
    }

    [Test]
    public async Task A_tensor_of_another_shape_is_refused_where_some_may_be_missing_too()
    {
        static Executor Sending(params long[] shape) => Sites.Answering(_ =>
        {
            var part = new StateDict(new TensorLayout(new TensorSpec("w", DType.Float32, shape)));
            return Dxo.WeightDiff(part).WithMeta(MetaKey.NumStepsCurrentRound, 1).ToShareable();
        });
        var model = StateDict.Create(("v", [0f]), ("w", [0f, 0f, 0f, 0f]));
        var run = await Sites.RunAsync(
            Rounds(1, new ExactAggregator { AllowMissingTensors = true }), model, Sending(4), Sending(2, 2),
            Sending(5));
        Assert.That(
            run.Rounds[0].Sites.Select(s => s.Status),
            Is.EqualTo(new[] { SiteStatus.Accepted, SiteStatus.Rejected, SiteStatus.Rejected }));
        Assert.That(
            run.Rounds[0].Sites[1].Reason, Does.Contain("Float32[2,2]").And.Contain("with the model's type and shape"));
    }

    [Test]
    public async Task What_was_used_cannot_be_refused_any_more()
    {
        var errors = new List<string>();
        var late = new LambdaComponent((type, context) =>
        {
            if (type != EventTypes.AfterContributionAccept) return;
            var contribution = context.Get(ContextKeys.Contribution);
            Assert.That(contribution.State, Is.EqualTo(ContributionState.Used));
            errors.Add(Assert.Throws<InvalidOperationException>(() => contribution.Reject("too late"))!.Message);
        });
        var run = await Sites.RunAsync(Rounds(1), Sites.Model(0), f => f.AddServerComponent(late), Sites.Adding(1));
        Assert.That(errors.Single(), Does.StartWith("The contribution of site-1 has been used already"));
        Assert.That(run.Rounds[0].Sites[0].Status, Is.EqualTo(SiteStatus.Accepted));
    }

    [Test]
    public async Task What_was_refused_is_not_used_and_what_nobody_kept_is_over()
    {
        Contribution? kept = null;
        var workflow = new Workflow(async (federation, abort) =>
        {
            var options = new BroadcastOptions { MinResponses = 1, Grace = TimeSpan.FromMinutes(5) };
            var last = (Contribution?)null;
            await foreach (var contribution in federation.BroadcastAsync(
                FlareTask.Train(1, federation.Model), options, abort))
            {
                if (last is { Site: not "site-3" })
                    Assert.That(() => last.Reject("gone"), Throws.InvalidOperationException);
                if (contribution.Site == "site-2")
                {
                    contribution.Reject("not this one");
                    contribution.Reject("twice");
                    Assert.That(contribution.MarkUsed, Throws.InvalidOperationException);
                    continue;
                }
                last = contribution;
                if (contribution.Site == "site-3") kept = contribution.Retain();
            }
            Assert.That(kept!.State, Is.EqualTo(ContributionState.Admitted));
            kept.Dispose();
            Assert.That(kept.State, Is.EqualTo(ContributionState.Over));
            await federation.CommitAsync(1, federation.Model, abort);
        });
        var run = await Sites.RunAsync(
            workflow, Sites.Model(0), f => f.UseParallelism(1), Sites.Adding(1), Sites.Adding(1), Sites.Adding(1));
        Assert.That(run.Rounds[0].Sites[1].Reason, Is.EqualTo("not this one"));
    }
}
