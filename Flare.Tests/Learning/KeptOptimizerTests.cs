using Flare.Learning;
using Flare.Workflows;

namespace Flare.Tests.Learning;

/// <summary>Momentum that goes on from round to round, kept at the site.</summary>
public class KeptOptimizerTests
{
    private const int Rounds = 4;
    private static readonly Dataset Data = Datasets.Digits().Test;
    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-kept-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private static Func<Optimizer> Make(string kind) => kind == "momentum"
        ? () => new Sgd(learningRate: 0.02, momentum: 0.9) : () => new Adam(learningRate: 0.002);

    private static StateDict Initial => Models.DigitsCnn(seed: 42).StateDict();

    private async Task<StateDict> RunAsync(
        string kind, bool keeps, string? folder = null, int leaveAfter = 0, string? keptBy = null)
    {
        await using var federation = Federation.InProcess(f =>
        {
            f.AddSites(1, _ => new ClassifierTrainer(Models.DigitsCnn, Data)
                {
                    Optimizer = Make(keptBy ?? kind), KeepOptimizer = keeps,
                })
                .UseController(new FedAvg { Rounds = Rounds, Validation = ValidationMode.None }).UseSeed(3);
            if (folder is not null)
                f.UseJobId("kept").UseJournal(Path.Combine(folder, "journal"))
                    .UseSiteState(Path.Combine(folder, "sites"));
        });
        await foreach (var round in federation.RunAsync(Initial))
            if (round.Number == leaveAfter) break;
        return federation.Model;
    }

    /// <summary>Without a federation: one optimizer from begin to end.</summary>
    private static StateDict Uninterrupted(string kind)
    {
        var (model, network, optimizer) = (Initial, Models.DigitsCnn(), Make(kind)());
        for (var round = 1; round <= Rounds; round++)
        {
            network.Load(model);
            var seed = Seeds.Derive(3, "site-1", TaskNames.Train, round, "local training");
            new LocalTrainer().Train(network, Data, unchecked((long)seed), optimizer);
            model += network.StateDict() - model; // as a round does, which sends the difference
        }
        return model;
    }

    [Test]
    public async Task Rounds_are_only_cuts_in_one_sites_training([Values("momentum", "adam")] string kind)
    {
        var kept = await RunAsync(kind, keeps: true);
        Assert.That(kept.Sha256(), Is.EqualTo(Uninterrupted(kind).Sha256()));
        Assert.That((await RunAsync(kind, keeps: false)).Sha256(), Is.Not.EqualTo(kept.Sha256()));
    }

    [Test]
    public async Task A_restart_in_the_middle_changes_no_bit([Values("momentum", "adam")] string kind)
    {
        await RunAsync(kind, keeps: true, _directory, leaveAfter: 2);
        var resumed = await RunAsync(kind, keeps: true, _directory);
        Assert.That(resumed.Sha256(), Is.EqualTo((await RunAsync(kind, keeps: true)).Sha256()));
    }

    [Test]
    public async Task What_another_optimizer_has_gathered_is_refused()
    {
        await RunAsync("momentum", keeps: true, _directory, leaveAfter: 2);
        var error = Assert.ThrowsAsync<TooFewResponsesException>(
            () => RunAsync("adam", keeps: true, _directory))!.Sites[0].Reason;
        Assert.That(error, Does.Contain("lacks the tensor 'mean.").And.Contain("another optimizer or network"));

        var network = Models.DigitsCnn();
        Assert.That(new Sgd(0.1).StateDict(), Is.Null, "before the first step");
        Assert.That(
            () => new Adam().Load(network, StateDict.Create(("mean", [1]))),
            Throws.ArgumentException.With.Message.Contains("mean.conv1.weight"));
    }
}
