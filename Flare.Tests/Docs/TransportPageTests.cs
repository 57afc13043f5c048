using Flare.Learning;
using Flare.Provisioning;
using Flare.Tests.Federations;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/transport.md. Its files lie where the process is.</summary>
[NonParallelizable]
public class TransportPageTests
{
    private readonly string _before = Environment.CurrentDirectory;

    [SetUp]
    public void Enter()
    {
        Environment.CurrentDirectory = Directory.CreateTempSubdirectory("flare-page-").FullName;
        var port = new Random().Next(20_000, 30_000); // below those that the system gives away
        using var provisioner = Provisioner.Open("authority");
        provisioner.Provision(ProjectFile.Parse($"""
            project: digits
            server:
              name: server
              addresses: [ "flare://127.0.0.1:{port}" ]
            sites: [ hospital-1, hospital-2 ]
            """), "kits");
    }

    [TearDown]
    public void Leave()
    {
        var folder = Environment.CurrentDirectory;
        Environment.CurrentDirectory = _before;
        Directory.Delete(folder, recursive: true);
    }

    [Test]
    public async Task A_server_and_sites_meet_by_their_kits()
    {
        var patients = Datasets.Digits().Train.SplitDirichlet(2, 100, 7)[0];
        var first = Hospital1Async(patients);
        var second = OtherAsync(patients);
        await ServerAsync().WaitAsync(TimeSpan.FromMinutes(3));
        Assert.That(await first.WaitAsync(Patience.Long), Is.Not.Empty);
        Assert.That(await second.WaitAsync(Patience.Long), Is.Not.Empty);
        Assert.That(File.Exists("digits-journal/journal.log") || Directory.GetFiles("digits-journal").Length > 0);
    }

    private static async Task ServerAsync()
    {
        using var identity = FlareIdentity.Load("kits/server.json");
        await using var server = FederationServer.Start(identity);                   // TLS 1.3, at the port of its kit
        await using var plan = new ServerBuilder().UseJobId("digits").UseSeed(42)
            .AddSites("hospital-1", "hospital-2")
            .UseController(new FedAvg { Rounds = 20 })
            .UseInitialModel(Models.DigitsCnn(seed: 42).StateDict())
            .UseJournal("digits-journal")                                            // goes on after a crash
            .Build();
        await foreach (var round in server.Run(plan).ReadRoundsAsync()) Console.WriteLine(round);
    }

    private static async Task<string> Hospital1Async(Dataset patients)
    {
        var reason = new StringWriter();
        await HospitalAsync(patients, reason);
        return reason.ToString();
    }

    private static async Task HospitalAsync(Dataset patients, TextWriter Console)
    {
        using var identity = FlareIdentity.Load("kits/hospital-1.json");
        await using var site = FederationSite.Connect(identity);                     // connects again whenever it must
        await using var plan = new SiteBuilder(identity.Name).UseJobId("digits").UseSeed(42)
            .UseExecutor(() => new ClassifierTrainer(Models.DigitsCnn, patients))
            .Build();
        Console.WriteLine(await site.Join(plan).Ended);
    }

    private static async Task<string> OtherAsync(Dataset patients)
    {
        using var identity = FlareIdentity.Load("kits/hospital-2.json");
        await using var site = FederationSite.Connect(identity);
        await using var plan = new SiteBuilder(identity.Name).UseJobId("digits").UseSeed(42)
            .UseExecutor(() => new ClassifierTrainer(Models.DigitsCnn, patients)).Build();
        return await site.Join(plan).Ended;
    }
}
