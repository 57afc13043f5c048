using Flare.Crypto;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>What a server and a site run with stands in their logs, once, without secrets.</summary>
public class EffectiveOptionsTests
{
    private static StateDict Initial => Sites.Model(1);

    private static string[] Lines(ScopeRecorder logs, LogLevel least = LogLevel.Information) =>
    [
        .. logs.Lines.Where(l => l.Level >= least && l.Message.Contains(" runs with: ", StringComparison.Ordinal))
            .Select(l => l.Message),
    ];

    [Test]
    public async Task A_federation_logs_all_its_options_once()
    {
        var logs = new ScopeRecorder();
        var folder = Directory.CreateTempSubdirectory("flare-").FullName;
        try
        {
            await using var federation = Federation.InProcess(f => f
                .UseJobId("digits").UseSeed(42).UseLogging(logs).UseParallelism(2).UseJournal(folder)
                .UseLimits(new() { MaxConcurrentUploads = 3, SiteLease = TimeSpan.FromSeconds(77) })
                .AddSites(2, _ => Sites.Adding(1))
                .AddServerFilter(FilterPlace.ServerIn, new LambdaFilter((m, _) => m), TaskNames.Train)
                .UseController(Sites.Training()));
            await federation.RunToEndAsync(Initial).WaitAsync(Patience.Long);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        var line = Lines(logs).Single();
        foreach (var part in (string[])["job digits ", "seed 42", "workflows FedAvg", "sites 2", $"journal in {folder}",
            "executors at once 2", "filters in LambdaFilter (train)", "MaxConcurrentUploads = 3",
            "SiteLease = 00:01:17", "ReminderInterval = 00:00:30", "SmallResultBytes = 16384"])
            Assert.That(line, Does.Contain(part));
    }

    [Test]
    public async Task In_one_process_sites_add_theirs_for_who_looks_closer()
    {
        var logs = new ScopeRecorder();
        await Sites.RunAsync(Sites.Training(), Initial, f => f.UseLogging(logs), Sites.Adding(1), Sites.Adding(1));
        Assert.That(Lines(logs), Has.Length.EqualTo(1));
        var all = Lines(logs, LogLevel.Debug);
        Assert.That(
            all, Has.Length.EqualTo(3).And.Some.StartsWith("site-2 runs with: ").And.Some.Contains("errors Full"));
    }

    [Test]
    public async Task A_server_and_a_site_of_their_own_log_theirs()
    {
        var (server, site) = (new ScopeRecorder(), new ScopeRecorder());
        await Hosts.RunAsync(
            new ServerBuilder().UseInitialModel(Initial).AddSites("a").UseController(Sites.Training())
                .UseLogging(server).UseSeed(7).Build(),
            new SiteBuilder("a").UseExecutor(() => Sites.Adding(1)).UseLogging(site).UseSeed(7)
                .UsePolicy(new() { LeastSteps = 1, MayFireEvents = false }).Build());
        Assert.That(Lines(server).Single(), Does.Contain("seed 7").And.Contain("journal none"));
        Assert.That(Lines(site).Single(), Does.StartWith("a runs with: job job; seed 7; incarnation 1; ")
            .And.Contain("policy errors TypeOnly, kinds all, least steps 1, encrypted only no, events no")
            .And.Contain("executors Scripted").And.Contain("AbortGrace = 00:00:05"));
    }

    [Test]
    public async Task Encryption_is_among_them_by_its_policy_and_its_keys_public_id()
    {
        var logs = new ScopeRecorder();
        using var key = SecretKey.Generate();
        var secret = new byte[SecretKey.Size];
        key.Export(secret);
        var id = key.Id.ToString();
        using var keys = new KeyRing(key);
        using var encryption = new HomomorphicEncryption(new EncryptionPolicy { Range = 2.5, MaxSites = 4 }, keys);
        await using var federation = Federation.InProcess(f => f
            .UseLogging(logs).AddSites(2, _ => Sites.Adding(1)).UseController(Sites.Training())
            .UseHomomorphicEncryption(encryption));
        await federation.RunToEndAsync(Initial).WaitAsync(Patience.Long);
        var line = Lines(logs).Single();
        Assert.That(line, Does.Contain("encryption scheme Exact, bits 24, range 2.5, ").And.Contain($"key {id}")
            .And.Contain("sites 1 to 4").And.Contain("aggregator of an extension"));
        var all = string.Join('\n', logs.Lines.Select(l => l.Message));
        Assert.That(all, Does.Not.Contain(Convert.ToHexString(secret)).IgnoreCase
            .And.Not.Contains(Convert.ToBase64String(secret)));
    }

    private sealed class Storage : Flare.Tests.Core.Journaling.MemoryStorage
    {
        public override string ToString() => "Server=db;Password=hunter2";
    }

    [Test]
    public async Task What_the_applications_objects_say_of_themselves_is_not()
    {
        var logs = new ScopeRecorder();
        await Sites.RunAsync(Sites.Training(), Initial, f => f.UseLogging(logs).UseJournal(new Storage()),
            Sites.Adding(1));
        Assert.That(Lines(logs).Single(), Does.Contain("journal in a Storage"));
        Assert.That(logs.Lines.Select(l => l.Message), Has.None.Contains("hunter2"));
    }

    [TestCase("smb://me:hunter2@host/share", "smb://***@host/share")]
    [TestCase("//token@host/share", "//***@host/share")]
    [TestCase("/srv/jobs/a@b", "/srv/jobs/a@b")]
    [TestCase(@"C:\jobs\digits", @"C:\jobs\digits")]
    public void A_place_is_shown_without_a_name_and_password(string place, string shown) =>
        Assert.That(Flare.Runtime.EffectiveOptions.Redacted(place), Is.EqualTo(shown));

    [Test]
    public async Task An_extension_that_cannot_describe_itself_does_not_end_the_run()
    {
        var logs = new ScopeRecorder();
        await Sites.RunAsync(
            Sites.Training(), Initial, f => f.UseLogging(logs).Use(new Speechless()), Sites.Adding(1));
        Assert.That(Lines(logs).Single(), Does.Contain("mine could not be described: NotImplementedException"));
    }

    private sealed class Speechless : IFederationExtension
    {
        public void Configure(IServerBuilder server) =>
            server.Describe("mine", () => throw new NotImplementedException());

        public void Configure(ISiteBuilder sites) { }
    }
}
