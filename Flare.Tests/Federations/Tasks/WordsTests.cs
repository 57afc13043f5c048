using Flare.Learning;
using Flare.Runtime;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>What is said of what went wrong: each thing once, in words that lead somewhere.</summary>
public class WordsTests
{
    [Test]
    public void An_id_is_said_once_however_deep_its_cause_lies()
    {
        var cause = new FlareException(ErrorIds.Filter, "the budget is spent");
        var error = new FlareException(
            ErrorIds.Filter, $"not sent: {new FlareException(ErrorIds.Filter, cause.Message, cause).Message} Ask.");
        Assert.That(error.Message, Is.EqualTo("not sent: the budget is spent Ask. [FLARE2005]"));
        Assert.That(
            new FlareException(ErrorIds.TaskFailed, error.Message).Message,
            Does.EndWith("Ask. [FLARE2005] [FLARE2006]"), "another's id leads to another page");
    }

    [Test]
    public async Task A_server_filter_that_stops_a_result_says_its_id_once()
    {
        var run = await Sites.RunAsync(
            Sites.Training(minSites: 1), Sites.Model(0),
            f => f.AddServerFilter(FilterPlace.ServerIn, new LambdaFilter((message, context) => context.Peer == "site-2"
                ? throw new FlareException(ErrorIds.Filter, "spent") : message)),
            Sites.Adding(1), Sites.Adding(2));
        var reason = run.Rounds[0].Sites[1].Reason!;
        Assert.That(reason, Does.Contain("spent").And.EndsWith("[FLARE2005]"));
        Assert.That(reason.Split("[FLARE2005]"), Has.Length.EqualTo(2));
    }

    [TestCase(ReturnCode.TaskUnknown), TestCase(ReturnCode.ExecutionException)]
    public async Task The_return_code_of_an_answer_is_said_once(ReturnCode code)
    {
        var run = await Sites.RunAsync(
            Sites.Training(), Sites.Model(0), Sites.Adding(1),
            Sites.Answering(_ => Shareable.Reply(code, "not today")), Sites.Throwing("out of paper"));
        var (answered, threw) = (run.Rounds[0].Sites[1].Reason, run.Rounds[0].Sites[2].Reason);
        Assert.That(answered, Is.EqualTo($"the site answered {code}: not today"));
        Assert.That(
            threw, Is.EqualTo("the site answered ExecutionException: System.IO.InvalidDataException: out of paper"));
    }

    [TestCase(1, "1 round committed"), TestCase(2, "2 rounds committed")]
    public async Task A_job_of_one_round_and_one_site_has_no_plural(int rounds, string numbers)
    {
        var log = new LogRecorder();
        await Sites.RunAsync(Sites.Training(rounds), Sites.Model(0), f => f.UseLogging(log), Sites.Adding(1));
        string[] lines = [.. log.Entries.Select(e => e.Message)];
        Assert.That(lines, Has.Some.Contains(numbers).And.Some.Contains("1 of 1 site,")
            .And.Some.Contains("1 site, upload"));
        Assert.That(lines, Has.None.Match(@"\b1 (rounds|sites|targets|answers|responses)\b"));
    }

    [Test]
    public void A_task_for_one_target_that_needs_more_has_no_plural() => Assert.That(
        () => Sites.RunAsync(
            new Workflow((context, abort) => context.BroadcastAsync(
                FlareTask.Train(1, context.Model), new() { MinResponses = 2 }, abort).GetAsyncEnumerator(abort)
                .MoveNextAsync().AsTask()),
            Sites.Model(0), Sites.Adding(1)),
        Throws.TypeOf<FlareException>().With.Message.Contains("needs 2 responses, and has 1 target."));

    [Test]
    public void A_site_named_as_the_server_is_refused_because_it_is_the_servers_name()
    {
        Assert.That(
            () => Federation.InProcess(f => f.AddSite(FLContext.Server, _ => Sites.Adding(1))),
            Throws.ArgumentException.With.Message.Contains("'server' is the server's own"));
        Assert.That(
            () => new SiteBuilder(FLContext.Server),
            Throws.ArgumentException.With.Message.Contains("'server' is the server's own"));
        Assert.That(
            () => new ServerBuilder().AddSites(FLContext.Server),
            Throws.ArgumentException.With.Message.Contains("'server' is the server's own"));
    }

    [Test]
    public async Task A_stranger_that_says_hello_as_the_server_is_told_why_it_may_not_come_in()
    {
        await using var bench = new ServerBench(
            (context, abort) => Task.Delay(Timeout.InfiniteTimeSpan, context.Time, abort), "site-1");
        await bench.SayAsync(Hello.Of(FLContext.Server, 1));
        Assert.That(
            (await bench.NextAsync<ServerRefusal>(FLContext.Server)).Reason,
            Does.Contain("'server' is the server's own"));
    }

    [Test]
    public async Task A_folder_in_use_is_called_a_folder_whatever_it_holds()
    {
        var folder = Directory.CreateTempSubdirectory("flare-words-").FullName;
        try
        {
            await using (await DirectoryJournalStorage.OpenAsync(folder))
                Assert.That(
                    () => DirectoryJournalStorage.OpenAsync(folder),
                    Throws.TypeOf<FlareException>().With.Message.Contains("in use")
                        .And.Message.Not.Contains("journal"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void Tensors_that_lie_in_sets_are_asked_for_by_the_names_that_there_are()
    {
        var data = Dxo.Weights(Sites.Model(1)).WithSet("control", Dxo.Weights(Sites.Model(2)));
        Assert.That(
            () => data.Tensors, Throws.TypeOf<FlareException>().With.Message.Contains("'model', 'control'")
                .And.Message.Contains("Set(\"model\")"));
        Assert.That(
            () => data.Set("contrl"), Throws.TypeOf<FlareException>().With.Message.Contains("did you mean 'control'")
                .And.Message.Contains("'model', 'control'"));
        Assert.That(
            () => data.Member("controls"), Throws.TypeOf<FlareException>().With.Message.Contains("'model', 'control'"));
        Assert.That(
            () => Dxo.Weights(Sites.Model(1)).Set("control"),
            Throws.TypeOf<FlareException>().With.Message.Contains("It has 'model'."));
        Assert.That(
            () => Dxo.Collection().Tensors, Throws.TypeOf<FlareException>().With.Message.Contains("has none"));
    }

    [Test]
    public void A_round_of_sets_and_one_without_name_the_sets_and_the_property_where_answers_do_not_fit()
    {
        var sets = Assert.ThrowsAsync<TooFewResponsesException>(() => Sites.RunAsync(
            new FedAvg { Sets = [new("control")], Validation = ValidationMode.None }, Sites.Model(0), new Scripted(
                (_, input, _, _) => ValueTask.FromResult(
                    Sites.Diff(Dxo.From(input).Set(Dxo.ModelSet).Tensors, 1)))))!;
        Assert.That(sites(sets), Does.Contain("no set 'control', only 'model'").And.Contain("Sets")
            .And.Contain("WithSet"));
        var none = Assert.ThrowsAsync<TooFewResponsesException>(() => Sites.RunAsync(
            Sites.Training(), Sites.Model(0), Sites.Answering(model => Dxo.WeightDiff(model.Clone(), 1)
                .WithSet("control", Dxo.Weights(model)).ToShareable())))!;
        Assert.That(sites(none), Does.Contain("the sets 'model', 'control'").And.Contain("property Sets"));

        static string sites(TooFewResponsesException e) => e.Sites[0].Reason!;
    }

    [Test]
    public void A_classifier_trainer_in_a_workflow_with_sets_is_refused_with_the_property_named()
    {
        var data = Datasets.Digits().Train.Slice(0, 32);
        var error = Assert.ThrowsAsync<TooFewResponsesException>(() => Sites.RunAsync(
            new FedAvg { Rounds = 1, Sets = [new("control")] }, Models.DigitsCnn(1).StateDict(),
            new ClassifierTrainer(Models.DigitsCnn, data)))!;
        Assert.That(
            error.Sites[0].Reason,
            Does.Contain("'model', 'control'").And.Contain("property Sets").And.Contain("ClassifierTrainer"));
    }
}
