using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Tests.Provisioning;
using Flare.Tests.Transport.Frames;
using Flare.Tests.Transport.Identity;
using Flare.Transport;
using Flare.Workflows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Transport.Proxies;

/// <summary>
/// A server behind the application's own Kestrel, and sites that reach it through a proxy that opens TLS.
/// </summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class HostedListenerTests : IDisposable
{
    private const string User = "hospital", Password = "four unrelated words";

    private readonly TestAuthority _authority = new();
    private readonly TestAuthority _proxys = new("Proxy");
    private readonly LogRecorder _logged = new();

    public void Dispose()
    {
        _authority.Dispose();
        _proxys.Dispose();
    }

    private static ManualTime Clock() => new() { WallClock = since => TestAuthority.Now + since };

    private static StateDict Initial() =>
        StateDict.Create(("w", [.. Enumerable.Range(0, 100_000).Select(i => MathF.Sin(i))]));

    private static Executor Trainer(string site) => Sites.Adding(site[^1] / 64f, steps: site[^1]);

    private static FedAvg Workflow() => new() { Rounds = 3, MinSites = 2, Grace = TimeSpan.FromMinutes(5) };

    /// <summary>A Kestrel with one endpoint, over TLS with a certificate that is none of the study's.</summary>
    private async Task<(WebApplication App, int Port)> HostAsync(HostedListener listener)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrel().UseKestrelHttpsConfiguration().ConfigureKestrel(k => k.Listen(
            IPAddress.Loopback, 0, o => o.UseHttps(_proxys.Certify("", forServer: true))));
        var app = builder.Build();
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
        await app.StartAsync();
        return (app, new Uri(app.Urls.Single()).Port);
    }

    private bool IsOfProxy(object sender, X509Certificate? shown, X509Chain? chain, SslPolicyErrors errors) =>
        shown?.Issuer == _proxys.Root.Subject;

    private WebSocketConnector Way(int port, OpeningProxy proxy, string password = Password) =>
        new(new Uri($"wss://localhost:{port}/flare"), Through(proxy, password));

    private SocketOptions Through(OpeningProxy proxy, string password = Password) => new()
    {
        Proxy = new WebProxy(proxy.Address) { Credentials = new NetworkCredential(User, password) },
        // A hospital's machines trust their proxy.
        ConfigureWebSocket = o => o.RemoteCertificateValidationCallback = IsOfProxy,
        Time = new ProvisioningBench.SetTime { Now = TestAuthority.Now }, Logging = _logged,
    };

    private static int PortOf(TcpListener listener) => ((IPEndPoint)listener.LocalEndpoint).Port;

    private OpeningProxy NewProxy() => new(_proxys.Certify("", forServer: true), User, Password);

    [Test]
    public async Task Sites_behind_a_proxy_that_opens_TLS_give_the_model_of_one_process()
    {
        using var identity = _authority.Identity(FlareRole.Server, "server");
        var listener = new HostedListener(
            "wss://localhost/flare", identity, new() { Time = Clock(), Logging = _logged });
        var (app, port) = await HostAsync(listener);
        await using var server = FederationServer.Start(listener, logging: _logged);
        await using var proxy = NewProxy();
        await using var plan = new ServerBuilder().AddSites("hospital-1", "hospital-2").UseController(Workflow())
            .UseInitialModel(Initial()).Build();
        var job = server.Run(plan);
        var sites = new[] { "hospital-1", "hospital-2" }.Select(async name =>
        {
            using var own = _authority.Identity(FlareRole.Site, name);
            await using var site = FederationSite.Connect(
                Way(port, proxy).WithProof(own, Clock()), name, logging: _logged);
            await using var sitePlan = new SiteBuilder(name).UseExecutor(() => Trainer(name)).Build();
            return await site.Join(sitePlan).Ended;
        }).ToArray();
        await foreach (var round in job.ReadRoundsAsync()) Assert.That(round.Accepted, Is.EqualTo(2));
        foreach (var site in sites) Assert.That(await site.WaitAsync(Patience.Long), Is.Not.Empty);

        await using var federation = Federation.InProcess(f => f
            .AddSite("hospital-1", _ => Trainer("hospital-1")).AddSite("hospital-2", _ => Trainer("hospital-2"))
            .UseController(Workflow()));
        await federation.RunToEndAsync(Initial());
        Assert.That(job.Model.Sha256(), Is.EqualTo(federation.Model.Sha256()));
        Assert.That(proxy.Tunnels, Is.EqualTo(2));
        // The proxy has seen who is there, and the server knows it by the sites' certificates all the same.
        Assert.That(_logged.Entries.Select(e => e.Message), Has.Some.StartsWith("hospital-1 is connected to job"));
        await server.DisposeAsync();
        await app.StopAsync();
        await app.DisposeAsync();
    }

    [Test]
    public async Task A_sites_kit_leads_through_the_proxy_of_its_options()
    {
        await using var proxy = NewProxy();
        using var identity = _authority.Identity(FlareRole.Server, "server");
        var listener = new HostedListener(
            "wss://localhost/flare", identity, new() { Time = Clock(), Logging = _logged });
        var (app, port) = await HostAsync(listener);
        await using var server = FederationServer.Start(listener, logging: _logged);
        await using var plan = new ServerBuilder().UseJobId("job").AddSites("hospital-1")
            .UseController(Sites.Training()).UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        using var own = FlareIdentity.Load(
            _authority.Kit(new(FlareRole.Site, "hospital-1"), address: $"wss://localhost:{port}/flare"));
        await using (var site = FederationSite.Connect(own, options: Through(proxy)))
        await using (var sitePlan = new SiteBuilder("hospital-1").UseJobId("job").UseExecutor(() => Sites.Adding(1))
            .Build())
        {
            Assert.That(await site.Join(sitePlan).Ended.WaitAsync(Patience.Long), Is.Not.Empty);
        }
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(proxy.Tunnels, Is.EqualTo(1));
        await server.DisposeAsync();
        await app.StopAsync();
        await app.DisposeAsync();
    }

    [Test]
    public async Task A_kits_way_by_WebSocket_keeps_the_time_of_its_options()
    {
        using var deaf = new TcpListener(IPAddress.Loopback, 0);
        deaf.Start();
        using var own = FlareIdentity.Load(_authority.Kit(
            new(FlareRole.Site, "hospital-1"), address: $"wss://127.0.0.1:{PortOf(deaf)}/flare"));
        var time = Clock();
        await using var site = FederationSite.Connect(
            own, options: new() { ConnectTimeout = TimeSpan.FromSeconds(7), Time = time, Logging = _logged });
        await time.TimerAsync(TimeSpan.FromSeconds(7));
        time.Advance(TimeSpan.FromSeconds(7));
        await FrameConnectionTests.WaitFor(
            () => _logged.Entries.Any(e => e.Message.Contains("it did not answer within 7 s")));
        Assert.That(
            () => new WebSocketConnector(new Uri("wss://a/b"), new() { ConnectTimeout = TimeSpan.MaxValue }),
            Throws.TypeOf<FlareException>().With.Message.Contains("ConnectTimeout"));
    }

    [Test]
    public async Task A_site_is_told_which_proxy_refuses_its_password_and_does_not_try_for_ever()
    {
        await using var proxy = NewProxy();
        using var own = _authority.Identity(FlareRole.Site, "hospital-1");
        await using var site = FederationSite.Connect(
            Way(9, proxy, "wrong").WithProof(own, Clock()), "hospital-1", logging: _logged);
        await using var plan = new SiteBuilder("hospital-1").UseExecutor(() => Trainer("hospital-1")).Build();
        var joined = site.Join(plan);
        var e = Assert.CatchAsync<FrameException>(() => joined.Ended.WaitAsync(Patience.Long))!;
        Assert.That(e.Message, Does.Contain($"the proxy {proxy.Address}").And.Contain("407").And.Contain("password"));
        Assert.That(e.IsTransient, Is.False);
        Assert.That(_logged.Entries.Select(l => l.Message), Has.Some.Contains("407"));
        Assert.That(proxy.Tunnels, Is.Zero);
    }

    [Test]
    public async Task What_a_proxy_has_heard_of_a_site_proves_nothing_on_another_connection()
    {
        using var identity = _authority.Identity(FlareRole.Server, "server");
        await using var listener = new HostedListener(
            "wss://localhost/flare", identity, new() { Time = Clock(), Logging = _logged });
        var (app, port) = await HostAsync(listener);
        await using var proxy = NewProxy();
        using var own = _authority.Identity(FlareRole.Site, "hospital-1");
        await using (var honest = await Way(port, proxy).WithProof(own, Clock()).ConnectAsync(default))
        {
            Assert.That(honest.PeerName, Is.EqualTo("server"));
            await using var accepted = await listener.AcceptAsync(default);
            Assert.That(accepted!.PeerName, Is.EqualTo("hospital-1"));
        }
        byte[] said;
        lock (proxy.Said) said = proxy.Said.ToArray();
        Assert.That(Encoding.ASCII.GetString(said), Does.StartWith("GET /flare"));

        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port);
        await using var replay = new SslStream(client.GetStream(), false, IsOfProxy);
        await replay.AuthenticateAsClientAsync("localhost");
        await replay.WriteAsync(said);
        var told = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _logged.Recorded = Look;
        foreach (var entry in _logged.Entries) Look((entry.Level, entry.Message));
        Assert.That(await told.Task.WaitAsync(Patience.Long), Does.Contain("answers for another connection"));
        await app.StopAsync();
        await app.DisposeAsync();

        void Look((LogLevel, string Message) line)
        {
            if (line.Message.Contains("dropped before it proved")) told.TrySetResult(line.Message);
        }
    }

    [Test]
    public async Task The_one_that_takes_longest_to_prove_itself_makes_room()
    {
        using var identity = _authority.Identity(FlareRole.Server, "server");
        await using var listener = new HostedListener(
            "pipes", identity, new() { Time = Clock(), Logging = _logged, Limits = new() { MaxHandshakes = 1 } });
        var (silent, honest) = (new PipePair(), new PipePair());
        var first = listener.CarryAsync(silent.B, null, "the silent one", default);
        var second = listener.CarryAsync(honest.B, null, "the honest one", default);
        await first.WaitAsync(Patience.Long);
        Assert.That(_logged.Entries.Single().Message, Does.Contain("the silent one").And.Contain("taken longest"));
        using var own = _authority.Identity(FlareRole.Site, "hospital-1");
        await using var site = await ChannelProof.ProveAsync(
            new(honest.A.Input, honest.A.Output, null, "the server", true, () => default), own, Clock());
        await using var accepted = await listener.AcceptAsync(default);
        Assert.That(accepted!.PeerName, Is.EqualTo("hospital-1"));
        await accepted.DisposeAsync();
        await second.WaitAsync(Patience.Long); // the request is kept open until then
    }

    /// <summary>A reader that nothing arrives at, and that a test hears of.</summary>
    private sealed class SilentReader(Action reading, Action cancelled) : PipeReader
    {
        private readonly TaskCompletionSource<ReadResult> _read =
            new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            cancellationToken.Register(() =>
            {
                cancelled();
                _read.TrySetCanceled(cancellationToken);
            });
            reading();
            return new(_read.Task);
        }

        public override bool TryRead(out ReadResult result)
        {
            result = default;
            return false;
        }

        public override void AdvanceTo(SequencePosition consumed) { }
        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) { }
        public override void CancelPendingRead() { }
        public override void Complete(Exception? exception = null) { }
    }

    private static PipePair.End Silent(Action reading, Action cancelled) =>
        new(new SilentReader(reading, cancelled), new Pipe().Writer);

    [Test]
    public async Task Dropping_one_that_takes_long_to_end_keeps_no_other_from_beginning()
    {
        using var identity = _authority.Identity(FlareRole.Server, "server");
        await using var listener = new HostedListener(
            "pipes", identity, new() { Time = Clock(), Logging = _logged, Limits = new() { MaxHandshakes = 1 } });
        using var begun = new SemaphoreSlim(0);
        var isFree = false;
        var first = listener.CarryAsync(
            Silent(() => { }, () =>
            {
                // Whoever ends waits for another that begins: under the listener's lock neither would.
                var third = Silent(() => begun.Release(), () => { });
                _ = Task.Run(() => listener.CarryAsync(third, null, "third", default));
                isFree = begun.Wait(TimeSpan.FromSeconds(10));
            }),
            null, "first", default);
        var second = listener.CarryAsync(Silent(() => { }, () => { }), null, "second", default);
        await Task.WhenAll(first, second).WaitAsync(Patience.Long);
        Assert.That(isFree);
        Assert.That(_logged.Entries.Select(e => e.Message), Has.Exactly(2).Contains("it had taken longest"));
    }

    [Test]
    public async Task A_silent_connection_is_dropped_after_its_time_and_a_name_that_the_application_proves_counts()
    {
        using var identity = _authority.Identity(FlareRole.Server, "server");
        var time = Clock();
        await using var listener = new HostedListener("pipes", identity, new() { Time = time, Logging = _logged });
        var carried = listener.CarryAsync(new PipePair().B, null, "the silent one", default);
        await time.TimerAsync(TimeSpan.FromSeconds(10));
        time.Advance(TimeSpan.FromSeconds(10));
        await carried.WaitAsync(Patience.Long);
        Assert.That(_logged.Entries.Single().Message, Does.Contain("took too long"));

        await using var trusting = HostedListener.WithoutProof("pipes");
        _ = trusting.CarryAsync(new PipePair().B, "hospital-7", "a tunnel", default);
        await using var accepted = await trusting.AcceptAsync(default);
        Assert.That(accepted!.PeerName, Is.EqualTo("hospital-7"));
    }
}
