using Flare.Crypto;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

/// <summary>One call adds encryption to a federation in one process, to a server alone, to a site alone.</summary>
public class EncryptedHostsTests
{
    private static StateDict Initial => EncryptedSites.Model();

    private static FedAvg Workflow => new() { Rounds = 2, MinSites = 2, Validation = ValidationMode.None };

    [TestCase(false)]
    [TestCase(true)]
    public async Task Hosts_by_themselves_make_the_model_that_one_process_makes(bool withPolicy)
    {
        var policy = withPolicy ? EncryptedSites.Policy : new EncryptionPolicy { MaxSites = 64 };
        using var keys = EncryptedSites.Ring(1);
        using var encryption = new HomomorphicEncryption(policy, keys);
        var whole = Federation.InProcess(f => f.AddSites(2, s => EncryptedSites.Trainer(s.Index))
            .UseController(Workflow).UseHomomorphicEncryption(encryption));
        await using (whole) await whole.RunToEndAsync(Initial).WaitAsync(Patience.Long);

        var given = withPolicy ? policy : null; // without, the defaults agree
        await using var server = new ServerBuilder().AddSites("site-1", "site-2").UseController(Workflow)
            .UseInitialModel(Initial).UseHomomorphicEncryption(HomomorphicEncryption.ForServer(keys.Current.Id, given))
            .Build();
        var sites = Enumerable.Range(0, 2).Select(i => new SiteBuilder($"site-{i + 1}")
            .UseExecutor(() => EncryptedSites.Trainer(i))
            .UsePolicy(SitePolicy.InProcess with { RequiresEncryption = true })
            .UseHomomorphicEncryption(new HomomorphicEncryption(given, keys)).Build()).ToArray();
        var reports = await Hosts.RunAsync(server, sites);
        foreach (var site in sites) await site.DisposeAsync();

        var model = reports[^1].Model;
        Assert.That(HomomorphicEncryption.IsEncrypted(model));
        Assert.That(encryption.Decrypt(model).Sha256(), Is.EqualTo(encryption.Decrypt(whole.Model).Sha256()));
        var atServer = server.Feature<HomomorphicEncryption>();
        Assert.That(() => atServer.Decrypt(model), Throws.InvalidOperationException.With.Message.Contains("no key"));
    }

    [TestCase(true, "its policy is encryption")]
    [TestCase(false, "it states no policy, and the server asks for policy encryption")]
    public async Task A_site_without_the_servers_encryption_is_refused_before_it_trains(bool isEncrypted, string words)
    {
        using var keys = EncryptedSites.Ring(1);
        var isAsked = false;
        var site = new SiteBuilder("site-1").UseExecutor(() => new Scripted((_, input, _, _) =>
        {
            isAsked = true;
            return ValueTask.FromResult(input);
        }));
        var other = EncryptedSites.Policy with { Bits = 20 };
        if (isEncrypted) site.UseHomomorphicEncryption(new HomomorphicEncryption(other, keys));
        var server = new ServerBuilder().AddSites("site-1", "site-2").UseController(Workflow).UseInitialModel(Initial)
            .UseHomomorphicEncryption(HomomorphicEncryption.ForServer(keys.Current.Id, EncryptedSites.Policy));
        await using (var side = new Side(server, site)) Assert.That(side.Refused().Message, Does.Contain(words));
        Assert.That(isAsked, Is.False);
    }

    [Test]
    public void A_host_alone_is_refused_a_key_of_its_own_making_which_nobody_else_would_have()
    {
        Assert.That(
            () => new ServerBuilder().AddSites("a").UseController(Workflow).UseInitialModel(Initial)
                .UseHomomorphicEncryption().Build(),
            Throws.TypeOf<FlareException>().With.Message.Contains("HomomorphicEncryption.ForServer"));
        Assert.That(
            () => new SiteBuilder("a").UseExecutor(() => EncryptedSites.Trainer(0)).UseHomomorphicEncryption().Build(),
            Throws.TypeOf<FlareException>().With.Message.Contains("the key that the sites share"));
        Assert.That(
            () => new SiteBuilder("a").UseExecutor(() => EncryptedSites.Trainer(0))
                .UseHomomorphicEncryption(HomomorphicEncryption.ForServer(RlweFixture.Key(1).Id)).Build(),
            Throws.TypeOf<FlareException>().With.Message.Contains("the key that the sites share"));
    }

    [Test]
    public void A_server_alone_refuses_a_workflow_that_reads_values() => Assert.That(
        () => new ServerBuilder().UseController(new FedAvg { Optimizer = new ServerMomentum() })
        .UseInitialModel(Initial)
            .UseHomomorphicEncryption(HomomorphicEncryption.ForServer(RlweFixture.Key(1).Id)).Build(),
        Throws.TypeOf<FlareException>().With.Property("ErrorId").EqualTo(ErrorIds.PlaintextNeeded));
}
