using Flare.Provisioning;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>A kit whose server is a Unix socket: there is no TLS, and names are proven all the same.</summary>
public class UnixKitTests
{
    [Test]
    public async Task Both_ends_prove_their_names_over_a_Unix_socket()
    {
        var folder = Directory.CreateTempSubdirectory("flare-unix-").FullName;
        using (var authority = Provisioner.Open(Path.Combine(folder, "ca")))
        {
            var project = new ProjectFile
            {
                Project = "digits-study", Server = new("server", [new($"unix:{folder}/flare.sock")]),
                Sites = [new("hospital-1", false), new("hospital-2", false)],
            };
            authority.Provision(project, folder);
        }
        var (serverLog, siteLog) = (new LogRecorder(), new LogRecorder());
        using var serverIdentity = IdentitySource.Open(
            Provisioner.PathOf(folder, "server"), logging: serverLog);
        using var first = IdentitySource.Open(Provisioner.PathOf(folder, "hospital-1"), logging: siteLog);
        await using (var server = FederationServer.Start(serverIdentity))
        await using (var site = FederationSite.Connect(first))
        await using (var plan = new ServerBuilder().UseJobId("job").AddSites("hospital-1")
            .UseController(Sites.Training()).UseInitialModel(Sites.Model(0)).Build())
        await using (var sitePlan = new SiteBuilder("hospital-1").UseJobId("job").UseExecutor(() => Sites.Adding(1))
            .Build())
        {
            var job = server.Run(plan);
            Assert.That(await site.Join(sitePlan).Ended.WaitAsync(Patience.Long), Is.Not.Empty);
            await job.Ended.WaitAsync(Patience.Long);
            Assert.That(job.Model.Values(), Is.EqualTo(new[] { 1f }));
        }
        Assert.That(
            serverLog.Entries.Select(e => e.Message), Has.Some.Contains("hospital-1 is connected to job job"));
        // The server is gone: links log where their source does.
        await using var late = FederationSite.Connect(first);
        await FrameConnectionTests.WaitFor(
            () => siteLog.Entries.Any(e => e.Message.Contains("hospital-1 has no connection")));
        Directory.Delete(folder, recursive: true);
    }
}
