using System.Net;
using Flare.Learning;
using Flare.Provisioning;
using Flare.Tests.Federations;
using Flare.Tests.Transport;
using Flare.Transport;
using Flare.Workflows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

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

    [Test]
    public async Task Operators_pause_approve_and_stop()
    {
        var patients = Datasets.Digits().Train.SplitDirichlet(2, 100, 7)[0];
        using var identity = FlareIdentity.Load("kits/hospital-1.json");
        await OperateAsync(identity).WaitAsync(Patience.Long);
        Assert.That(await AskAboutAsync(identity, patients).WaitAsync(Patience.Long), Does.Contain("approval yes"));
    }

    private static async Task OperateAsync(FlareIdentity identity)
    {
        await using var site = FederationSite.Connect(identity);
        site.SetBandwidth(upBytesPerSecond: 2_000_000, downBytesPerSecond: 8_000_000);
        site.SetHours(new SiteHours { From = new(20, 0), To = new(6, 0) });   // by the clock on the wall, over midnight
        await site.PauseAsync("the scanner is in use");                       // ends once no executor is at work
        site.Resume();
        await site.StopAsync(TimeSpan.FromMinutes(10), "a new version");      // a task that runs may end, and is sent
    }

    private static async Task<string> AskAboutAsync(FlareIdentity identity, Dataset patients)
    {
        using var serversIdentity = FlareIdentity.Load("kits/server.json");
        await using var server = FederationServer.Start(serversIdentity);
        await using var serversPlan = new ServerBuilder().UseJobId("digits").UseSeed(42).AddSites("hospital-1")
            .UseController(new FedAvg { Rounds = 20 }).UseInitialModel(Models.DigitsCnn(seed: 42).StateDict()).Build();
        var job = server.Run(serversPlan);
        await using var site = FederationSite.Connect(identity);
        var asked = new TaskCompletionSource<string>();

        async Task<bool> AskAsync(string what, CancellationToken cancel)
        {
            asked.SetResult(what);
            await Task.Delay(Timeout.Infinite, cancel);
            return true;
        }

        await using var plan = new SiteBuilder(identity.Name).UseJobId("digits").UseSeed(42)
            .UseExecutor(() => new ClassifierTrainer(Models.DigitsCnn, patients))
            .UsePolicy(new SitePolicy { RequiresApproval = true })
            .UseSiteState("state")                                            // remembers what was approved
            .UseApproval(async (job, cancel) => await AskAsync(job.ToString(), cancel)
                ? JobDecision.Approve : JobDecision.Refuse("not before the ethics board has met"))
            .Build();
        var joined = site.Join(plan);
        await joined.PauseAsync("a backup");                                  // this job alone
        joined.Resume();
        var what = await asked.Task;
        var stopping = StopAsync(server, job);
        await OperatingTests.StandingAsync(job, identity.Name, s => s.Pause is not null);
        await server.DisposeAsync(); // in a hurry: nobody approves here
        await stopping;
        return what;
    }

    private static async Task StopAsync(FederationServer server, ServedJob job)
    {
        foreach (var each in await job.GetSitesAsync()) Console.WriteLine(each);   // hospital-2 (paused: a backup)
        await server.StopAsync(TimeSpan.FromMinutes(10), "a new version");
    }

    private static async Task ServerAsync()
    {
        using var identity = IdentitySource.Open("kits/server.json");
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
        using var identity = IdentitySource.Open("kits/hospital-1.json");
        await using var site = FederationSite.Connect(identity);                     // connects again whenever it must
        await using var plan = new SiteBuilder(site.Name).UseJobId("digits").UseSeed(42)
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

    [Test]
    public async Task Sites_come_in_by_the_applications_own_web_server()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrel().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0));
        await using var app = builder.Build();
        await HostAsync(app, async () =>
        {
            await app.StartAsync();
            var address = new UriBuilder(app.Urls.Single()) { Scheme = "ws", Path = "/flare" }.Uri;
            using var own = FlareIdentity.Load("kits/hospital-2.json");
            await using var connection = await new WebSocketConnector(address).WithProof(own).ConnectAsync(default);
            Assert.That(connection.PeerName, Is.EqualTo("server"));
            using var http = new HttpClient();
            var plain = await http.GetAsync(new Uri($"{app.Urls.Single()}/flare"));
            Assert.That(plain.StatusCode, Is.EqualTo(HttpStatusCode.BadRequest));
        });
        await app.StopAsync();
    }

    private static async Task HostAsync(WebApplication app, Func<Task> run)
    {
        using var identity = FlareIdentity.Load("kits/server.json");
        await using var listener = new HostedListener("wss://study.example.org/flare", identity);
        await using var server = FederationServer.Start(listener);                   // runs jobs as any other
        app.UseWebSockets();
        app.Map("/flare", async (HttpContext http) =>
        {
            if (!http.WebSockets.WebSocketRequestedProtocols.Contains(WebSocketConnector.SubProtocol))
            {
                http.Response.StatusCode = StatusCodes.Status400BadRequest;
                return;
            }
            using var socket = await http.WebSockets.AcceptWebSocketAsync(WebSocketConnector.SubProtocol);
            await listener.CarryAsync(socket, $"{http.Connection.RemoteIpAddress}", http.RequestAborted);
        });
        await run();
    }

    [Test]
    public async Task A_site_connects_through_a_proxy()
    {
        using var identity = FlareIdentity.Load("kits/hospital-1.json");
        await ProxyAsync(identity, "user", "password");
    }

    private static async Task ProxyAsync(FlareIdentity identity, string user, string password)
    {
        var options = new SocketOptions
        {
            Proxy = new WebProxy("http://proxy.hospital.example:3128") { Credentials = new NetworkCredential(user, password) },
        };
        await using var site = FederationSite.Connect(identity, options: options);
        Assert.That(site.Name, Is.EqualTo("hospital-1"));
    }
}
