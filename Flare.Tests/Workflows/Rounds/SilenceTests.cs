using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Workflows;

/// <summary>
/// What a run does not let pass in silence: sites left out, models that begin with NaN, integers that are trained.
/// </summary>
public class SilenceTests
{
    [Test]
    public void A_round_waits_for_all_of_its_sites_unless_it_is_told_otherwise()
    {
        var error = Assert.ThrowsAsync<TooFewResponsesException>(() => Sites.RunAsync(
            new FedAvg { Rounds = 1, Validation = ValidationMode.None }, Sites.Model(0), Sites.Adding(1),
            Sites.Throwing("offline"), Sites.Adding(1)))!;
        Assert.That(error.Message, Does.Contain("site-2"));
    }

    [Test]
    public async Task A_round_of_a_sample_waits_for_all_of_the_sample()
    {
        var run = await Sites.RunAsync(
            new FedAvg { Rounds = 3, SitesPerRound = 2, Validation = ValidationMode.None }, Sites.Model(0),
            Sites.Adding(1), Sites.Adding(1), Sites.Adding(1));
        Assert.That(run.Rounds.Select(r => (r.Targets, r.Accepted)), Is.All.EqualTo((2, 2)));
    }

    [Test]
    public async Task A_site_left_out_again_and_again_is_told_of_and_ever_clearer()
    {
        using var log = new LogRecorder();
        var workflow = new FedAvg { Rounds = 5, MinSites = 1, Grace = TimeSpan.Zero, Validation = ValidationMode.None };
        var run = await Sites.RunAsync(
            workflow, Sites.Model(0), f => f.UseLogging(log).UseParallelism(2), Sites.Adding(1), Sites.Hanging());
        Assert.That(run.Rounds[0].Warnings, Is.Empty, "once may happen");
        Assert.That(
            run.Rounds[1].Warnings.Single(),
            Does.StartWith("site-2 was left out of 2 rounds in a row").And.Contain("Grace").And.Not.Contain(
                "learns nothing"));
        Assert.That(
            run.Rounds[4].Warnings.Single(),
            Does.StartWith("site-2 was left out of 5 rounds in a row").And.Contain(
                "the model learns nothing of its data"));
        Assert.That(
            log.Entries.Count(e => e.Level == LogLevel.Warning && e.Message.Contains("in a row")), Is.EqualTo(4));
    }

    [TestCase(float.NaN), TestCase(float.NegativeInfinity)]
    public void An_initial_model_that_is_not_finite_is_told_of_before_anybody_trains(float bad)
    {
        var trained = 0;
        var site = Sites.Answering(m =>
        {
            trained++;
            return Sites.Diff(m, 1);
        });
        var model = StateDict.Create(("first", [1f, 2f]), ("second", [1f, 2f, bad]));
        var error = Assert.ThrowsAsync<FlareException>(
            () => Sites.RunAsync(new FedAvg { Rounds = 1, Validation = ValidationMode.None }, model, site))!;
        Assert.That((error.ErrorId, trained), Is.EqualTo((ErrorIds.Configuration, 0)));
        Assert.That(
            error.Message, Does.StartWith(
                "The run cannot begin: the initial model's tensor 'second' holds NaN or an infinity, first at "
                    + "element 2."));
    }

    [Test]
    public async Task A_parameter_of_integers_is_warned_of_and_a_buffer_is_not()
    {
        static StateDict Model(bool buffer) => buffer
            ? new StateDictBuilder().Add<float>("w", [0]).AddBuffer<long>("n", [1]).Build()
            : new StateDictBuilder().Add<float>("w", [0]).Add<long>("n", [1]).Build();
        var workflow = () => new FedAvg { Rounds = 2, Validation = ValidationMode.None };
        var run = await Sites.RunAsync(workflow(), Model(buffer: false), Sites.Answering(m => Sites.Diff(m, 1)));
        Assert.That(run.Rounds[0].Warnings.Single(), Does.StartWith("The model's tensor 'n' is a parameter of Int64"));
        Assert.That(run.Rounds[1].Warnings, Is.Empty);
        run = await Sites.RunAsync(workflow(), Model(buffer: true), Sites.Answering(m => Sites.Diff(m, 1)));
        Assert.That(run.Rounds[0].Warnings, Is.Empty);
    }
}
