namespace Flare.Tests.Federations;

/// <summary>Filters for tasks that nobody sends: nothing passes them by in silence.</summary>
public class FilterTaskNameTests
{
    private static readonly FilterPlace[] Places = Enum.GetValues<FilterPlace>();

    private static FederationBuilder Add(FederationBuilder f, FilterPlace place, params string[] tasks)
    {
        var filter = new LambdaFilter((m, _) => m);
        return place is FilterPlace.ServerIn or FilterPlace.ServerOut ? f.AddServerFilter(place, filter, tasks)
            : f.ConfigureSites((site, _) => site.AddFilter(place, filter, tasks));
    }

    [TestCaseSource(nameof(Places))]
    public void A_name_that_differs_by_case_stops_the_message(FilterPlace place)
    {
        var calls = 0;
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(
            () => Sites.RunAsync(Sites.Training(), Sites.Model(1),
            f => Add(f, place, "Train"), new Scripted((_, input, _, _) =>
            {
                calls++;
                return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
            })))!;
        Assert.That(failure.Message, Does.Contain("'Train'").And.Contain("'train'"));
        Assert.That(calls, Is.EqualTo(place is FilterPlace.ServerOut or FilterPlace.SiteIn ? 0 : 1));
    }

    [TestCaseSource(nameof(Places))]
    public void A_misspelt_name_ends_the_run_with_an_error_once_it_is_over(FilterPlace place)
    {
        var log = new LogRecorder();
        var federation = Federation.InProcess(
            f => Add(f, place, "trian").AddSites(2, _ => Sites.Adding(1)).UseLogging(log)
            .UseController(Sites.Training(rounds: 2)));
        var failure = Assert.ThrowsAsync<FlareException>(
            async () => await federation.RunToEndAsync(Sites.Model(1)).WaitAsync(Patience.Long))!;
        Assert.That(failure.ErrorId, Is.EqualTo(ErrorIds.Filter));
        Assert.That(
            failure.Message, Does.Contain("LambdaFilter").And.Contain("'trian'").And.Contain("did you mean 'train'?"));
        Assert.That(
            (federation.Rounds.Count, federation.Model.Values()[0]), Is.EqualTo((2, 3f)), "the rounds are committed");
        Assert.That(log.Entries.Select(e => e.Message), Has.Some.Contains("'trian'"));
        Assert.That(async () => await federation.DisposeAsync(), Throws.Nothing);
    }

    [TestCaseSource(nameof(Places))]
    public async Task A_name_that_is_like_none_that_was_sent_is_an_error_in_the_log(FilterPlace place)
    {
        var log = new LogRecorder();
        await Sites.RunAsync(
            Sites.Training(), Sites.Model(1), f => Add(f, place, "validate").UseLogging(log), Sites.Adding(1));
        Assert.That(
            log.Entries.Where(e => e.Level == Microsoft.Extensions.Logging.LogLevel.Error).Select(e => e.Message),
            Has.One.Contains("LambdaFilter is for the task 'validate', which no workflow sent; sent were 'train'"));
    }

    [Test]
    public async Task Of_several_names_one_that_matches_is_enough_and_the_others_are_told_of()
    {
        var log = new LogRecorder();
        await Sites.RunAsync(
            Sites.Training(), Sites.Model(1), f => Add(f, FilterPlace.SiteOut, "train", "submit_model")
            .UseLogging(log), Sites.Adding(1));
        Assert.That(log.Entries.Where(e => e.Level == Microsoft.Extensions.Logging.LogLevel.Error), Is.Empty);
        Assert.That(
            log.Entries.Select(e => e.Message),
            Has.One.Contains("is also for the task 'submit_model', which no workflow sent"));
    }

    [Test]
    public void A_filter_whose_site_failed_every_task_is_not_to_blame()
    {
        var log = new LogRecorder();
        Assert.ThrowsAsync<TooFewResponsesException>(() => Sites.RunAsync(Sites.Training(), Sites.Model(1),
            f => Add(f, FilterPlace.SiteOut, "train").UseLogging(log), Sites.Throwing("no data")));
        Assert.That(log.Entries.Select(e => e.Message), Has.None.Contains("which no workflow sent"));
    }

    [Test]
    public void A_server_built_by_itself_ends_with_the_error_too()
    {
        var server = new ServerBuilder().UseInitialModel(Sites.Model(1)).AddSites("a").UseController(Sites.Training())
            .AddServerFilter(FilterPlace.ServerIn, new LambdaFilter((m, _) => m), "trian").Build();
        var site = new SiteBuilder("a").UseExecutor(() => Sites.Adding(1)).Build();
        Assert.That(
            () => Hosts.RunAsync(server, site),
            Throws.TypeOf<FlareException>().With.Property(nameof(FlareException.ErrorId)).EqualTo(ErrorIds.Filter)
                .And.Message.Contains("the server: the filter LambdaFilter").And.Message.Contains("'train'"));
    }

    [Test]
    public async Task A_site_built_by_itself_ends_with_the_error_and_the_server_without_it()
    {
        var server = new ServerBuilder().UseInitialModel(Sites.Model(1)).AddSites("a").UseController(Sites.Training())
            .Build();
        var plan = new SiteBuilder("a").UseExecutor(() => Sites.Adding(1))
            .ConfigureSites(s => s.AddFilter(FilterPlace.SiteOut, new LambdaFilter((m, _) => m), "trian")).Build();
        var loop = new Flare.Runtime.JobLoop(_ => { });
        var link = new Flare.Runtime.InProcessLink(loop);
        var site = plan.CreateSite(loop, link.ConnectSite("a"));
        var running = server.CreateServer(loop, link);
        loop.Post(_ =>
        {
            _ = running.RunAsync(CancellationToken.None);
            site.Start();
        }, null);
        var rounds = new List<RoundReport>();
        await foreach (var round in running.Reports.ReadAllAsync()) rounds.Add(round);
        Assert.That(rounds, Has.Count.EqualTo(1));
        Assert.That(
            () => site.Ended.WaitAsync(Patience.Long),
            Throws.TypeOf<FlareException>().With.Message.Contains("a: the filter LambdaFilter"));
    }
}
