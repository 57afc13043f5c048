using System.Net.Sockets;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Tests.Transport.Identity;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>
/// Whoever is refused over TLS: the site's error and the server's log say who, what is wrong and what to do.
/// </summary>
public class RefusalTests
{
    private static IEnumerable<TestCaseData> Cases()
    {
        yield return Case("a site of another authority", OfAnotherAuthorityAsync,
            ["refuses the certificate of site 'hospital-1'", "issued by 'CN=Other'", "kits of one project?"],
            ["The certificate of the site at 127.0.0.1:", "it names site 'hospital-1' and was issued by 'CN=Other'",
                "('CN=digits-study root 1') vouches for: do both ends have kits of one project?"]);
        yield return Case("a site of another project", OfAnotherProjectAsync,
            ["The certificate of the server at 127.0.0.1:", "issued by 'CN=digits-study root 1'", "vouches for"],
            ["The certificate of the site at 127.0.0.1:", "issued by 'CN=digits-study root 1'",
                "kits of one project?"]); // each refuses the other
        yield return Case("a site whose certificate has expired", ExpiredAsync,
            ["refuses the certificate of site 'hospital-1'", "is expired since 2026-08-02 12:00 UTC", "renew it"],
            ["The certificate of the site at 127.0.0.1:", "it names site 'hospital-1' and is expired since",
                "renew it"]);
        yield return Case("a server whose certificate has expired", ServerExpiredAsync,
            ["The certificate of the server at 127.0.0.1:", "it names server 'server' and is expired since",
                "renew it"],
            ["A connection from 127.0.0.1", "refuses the certificate of server 'server'", "is expired since",
                "renew it"]);
        yield return Case("a site whose certificate is not yet valid", NotYetValidAsync,
            ["refuses the certificate of site 'hospital-1'", "is not yet valid until", "are the clocks right?"],
            ["it names site 'hospital-1' and is not yet valid until", "are the clocks right?"]);
        yield return Case("a revoked site", RevokedAsync,
            ["refuses the certificate of site 'hospital-1'", "is revoked since", "(stolen): it takes a new kit"],
            ["it names site 'hospital-1' and is revoked since", "(stolen): it takes a new kit with a new key"]);
        yield return Case("a site that is not on the roster", NotOnTheRosterAsync,
            ["refuses the certificate of site 'hospital-2'", "is not on the roster (version 2)", "has a newer one"],
            ["it names site 'hospital-2' and is not on the roster (version 2)", "has a newer one"]);
        yield return Case("a site that says another's name", AnothersNameAsync,
            ["does not let hospital-2 take part in job 'job'", "its certificate is that of hospital-1",
                "the kit of hospital-2"],
            ["hospital-2 may not take part in job job over this connection", "its certificate is that of hospital-1",
                "the kit of hospital-2"]);
        yield return Case("a site that shows a server's certificate", ServersCertificateAsync,
            ["refuses the certificate of server 'server'", "does not prove a site", "it has the wrong role"],
            ["it names server 'server' and does not prove a site", "it has the wrong role"]);
        yield return Case("a server of another address", AnotherAddressAsync,
            ["The certificate of the server at ", "it is not for the address 'localhost'", "connect by an address"],
            ["A connection from 127.0.0.1", "refuses the certificate of server 'server'",
                "it is not for the address 'localhost'", "connect by an address"]);
        yield return Case("a second site of the same name", SecondAsync,
            ["does not let hospital-1 take part", "another process is hospital-1 already", "stop one of them"],
            ["hospital-1 may not take part", "another process is hospital-1 already", "stop one of them"]);
        yield return Case("a session that another process repeats", RepeatedAsync,
            ["does not let hospital-1 take part", "with the same start 5: stop one of them"],
            ["hospital-1 may not take part", "with the same start 5: stop one of them"]);
        yield return Case("bytes of another connection that are sent again", ReplayedBytesAsync,
            ["hung up"], ["A connection from 127.0.0.1", "TLS with 127.0.0.1:"]);
        yield return Case("a job that is not there", AnotherJobAsync,
            ["hospital-1 waits for job 'another'", "there is no job 'another' at this server now", "check its id"],
            ["hospital-1 may not take part in job another", "there is no job 'another' at this server now",
                "check its id"]);
        yield return Case("another seed", AnotherSeedAsync,
            ["refuses hospital-1", "its seed is 7, and the job's is another", "the same seed"],
            ["hospital-1", "its seed is 7, and the job's is another", "the same seed"]);
        yield return Case("another layout", AnotherLayoutAsync,
            ["refuses hospital-1", "it is built for a model of layout", "give both the same model"],
            ["hospital-1", "it is built for a model of layout", "give both the same model"]);
        yield return Case("another policy", AnotherPolicyAsync,
            ["refuses hospital-1", "its policy is strict, and the server asks for stricter"],
            ["hospital-1", "its policy is strict, and the server asks for stricter"]);
        yield return Case("another version of the frames", AnotherVersionAsync,
            ["it speaks versions 2 to 3 of Flare's frames and this end 1 to 1", "use versions of Flare.Transport"],
            ["hospital-1 at 127.0.0.1", "it speaks versions 2 to 3", "use versions of Flare.Transport"]);
        yield return Case("a frame above the limit", AboveTheLimitAsync,
            ["a frame of type Message has 70000 bytes, and may have from 0 to 65536 here"],
            ["hospital-1 at 127.0.0.1", "a frame of type Message has 70000 bytes, and may have from 0 to 65536 here"]);
        yield return Case("a layout bomb", LayoutBombAsync,
            ["did not use the answer", "malformed", "Use the same version of Flare at both ends"],
            ["A message of hospital-1 is not read", "malformed", "Use the same version of Flare at both ends"]);
    }

    private static TestCaseData Case(
        string name, Func<TlsBench, Task<string>> provoke, string[] atSite, string[] atServer) =>
        new TestCaseData(provoke, atSite, atServer).SetArgDisplayNames(name);

    [TestCaseSource(nameof(Cases))]
    public async Task Who_is_refused_reads_why_at_both_ends(
        Delegate provoke, string[] atSite, string[] atServer)
    {
        await using var bench = new TlsBench();
        var said = await ((Func<TlsBench, Task<string>>)provoke)(bench);
        foreach (var words in atSite) Assert.That(said, Does.Contain(words), "at the site");
        var logged = await TlsBench.LoggedAsync(bench.ServerLog, atServer[^1]);
        foreach (var words in atServer) Assert.That(logged, Does.Contain(words), "at the server");
    }

    // ---- certificates

    private static async Task<string> OfAnotherAuthorityAsync(TlsBench bench)
    {
        using var other = new TestAuthority("Other");
        bench.StartServer();
        var certificate = other.Certify(new CertifiedName(FlareRole.Site, "hospital-1"));
        var kit = StartupKit.Issue(
            new()
            {
                Project = TestAuthority.Project, Member = new(FlareRole.Site, "hospital-1"), Addresses = [],
                Certificates = [certificate.RawData],
                TrustRoots = [.. other.Roots, .. bench.Source("server").Current.Kit.TrustRoots],
                Roster = other.Everybody(), PrivateKey = TestAuthority.Key(certificate),
            },
            other.Signer);
        using var identity = FlareIdentity.Load(kit);
        return await RefusedAsync(bench, bench.To(IdentitySource.Of(identity)), "hospital-1");
    }

    private static async Task<string> OfAnotherProjectAsync(TlsBench bench)
    {
        await using var another = new TlsBench();
        bench.StartServer();
        return await RefusedAsync(bench, bench.To(another.Source("hospital-1")), "hospital-1");
    }

    private static Task<string> ExpiredAsync(TlsBench bench) => AfterAsync(bench, renewed: "server");

    private static Task<string> ServerExpiredAsync(TlsBench bench) => AfterAsync(bench, renewed: "hospital-1");

    private static Task<string> AfterAsync(TlsBench bench, string renewed)
    {
        bench.Time.Now += TimeSpan.FromDays(80);
        bench.Renew(renewed);
        bench.Time.Now += TimeSpan.FromDays(20);
        bench.StartServer();
        return RefusedAsync(bench, bench.To("hospital-1"), "hospital-1");
    }

    private static Task<string> NotYetValidAsync(TlsBench bench)
    {
        bench.Time.Now += TimeSpan.FromDays(10);
        bench.Renew("hospital-1");
        bench.Time.Now -= TimeSpan.FromDays(9);
        bench.StartServer();
        return RefusedAsync(bench, bench.To("hospital-1"), "hospital-1");
    }

    private static Task<string> RevokedAsync(TlsBench bench)
    {
        bench.StartServer();
        bench.Authority.Revoke("hospital-1", "stolen");
        bench.GiveRoster("server");
        return RefusedAsync(bench, bench.To("hospital-1"), "hospital-1");
    }

    private static Task<string> NotOnTheRosterAsync(TlsBench bench)
    {
        var site = bench.Source("hospital-2"); // of the first roster
        bench.Provision("hospital-1");
        bench.StartServer();
        return RefusedAsync(bench, bench.To(site), "hospital-2");
    }

    private static Task<string> AnothersNameAsync(TlsBench bench)
    {
        bench.Run(bench.StartServer(), 1, "hospital-1", "hospital-2");
        return RefusedAsync(bench, bench.To("hospital-1"), "hospital-2");
    }

    private static Task<string> ServersCertificateAsync(TlsBench bench)
    {
        bench.StartServer();
        // A site would look for a site at the other end: only who does not look gets so far.
        return RawAsync(bench, "server", async raw =>
            $"refuses the certificate of server 'server': {(await raw.HearAsync())["refusal"].AsText()}");
    }

    private static Task<string> AnotherAddressAsync(TlsBench bench)
    {
        bench.StartServer();
        return RefusedAsync(bench, bench.To(bench.Source("hospital-1"), host: "localhost"), "hospital-1");
    }

    // A good certificate makes nobody believe a roster that the authority has not signed, or an older one as newer.
    [TestCase("forged", "vouches for"), TestCase("another project's", "vouches for"), TestCase("garbage", "no JSON")]
    [TestCase("older", "it is version 1 of 'digits-study', and the kit has version 2")]
    public async Task A_roster_that_a_site_brings_and_that_is_none_is_refused_at_both_ends(string which, string words)
    {
        await using var bench = new TlsBench();
        await using var another = new TlsBench();
        using var other = new TestAuthority("Other");
        var older = bench.Authority.Roster!.Write();
        bench.Authority.Revoke("hospital-2");
        bench.StartServer();
        bench.GiveRoster("server");
        var said = await RawAsync(bench, "hospital-1", async raw =>
        {
            Assert.That((await raw.IntroduceAsync(roster: 99))["roster"].AsInteger(), Is.EqualTo(2));
            await raw.SayAsync(new()
            {
                ["bytes"] = which switch
                {
                    "forged" => other.Roster(99, new RosterMember("server", FlareRole.Server)).Write(),
                    "older" => older,
                    "garbage" => "no roster"u8.ToArray(), _ => another.Authority.Roster!.Write(),
                },
            });
            var answer = await raw.HearAsync();
            Assert.That(answer["proven"].AsBoolean(), Is.True, "the site itself is believed all the same");
            await raw.SayAsync(new() { ["proven"] = true });
            await raw.SendAsync(RawFrames.Hello(), RawFrames.Close("that was all"));
            await raw.HearCloseAsync();
            return answer["notTaken"].AsText();
        });
        Assert.That(said, Does.Contain(words));
        Assert.That(
            await TlsBench.LoggedAsync(bench.ServerLog, "The roster of site 'hospital-1' is not taken"),
            Does.Contain(words));
        Assert.That(bench.Source("server").Current.Roster.Version, Is.EqualTo(2));
    }

    // ---- sessions

    private static Task<string> SecondAsync(TlsBench bench) => AgainAsync(bench, incarnation: 4);

    private static Task<string> RepeatedAsync(TlsBench bench) => AgainAsync(bench, incarnation: 5);

    private static async Task<string> AgainAsync(TlsBench bench, long incarnation)
    {
        var server = bench.StartServer();
        bench.Run(server, 1, "hospital-1", "hospital-2");
        bench.Join(bench.Connect("hospital-1", incarnation: 5));
        await FrameConnectionTests.WaitFor(() => server.ConnectedSites.Count == 1);
        return await RefusedAsync(bench, bench.To("hospital-1"), "hospital-1", incarnation);
    }

    // A thief who has recorded a site's whole session has nothing that the server takes a second time.
    private static async Task<string> ReplayedBytesAsync(TlsBench bench)
    {
        var server = bench.StartServer();
        var recorded = new MemoryStream();
        await using var recorder = new CuttingProxy(bench.Port, long.MaxValue, bytes => recorded.Write(bytes.Span));
        var job = bench.Run(server, 1, "hospital-1");
        bench.Join(bench.Connect("hospital-1", bench.To("hospital-1", recorder.Port)));
        await job.Ended.WaitAsync(Patience.Long);
        using var thief = new TcpClient();
        await thief.ConnectAsync("127.0.0.1", bench.Port);
        var stream = thief.GetStream();
        await stream.WriteAsync(recorded.ToArray());
        // The server's half of a handshake, for nobody who has the key; then it hangs up.
        var buffer = new byte[64 * 1024];
        try
        {
            while (await stream.ReadAsync(buffer).AsTask().WaitAsync(Patience.Long) > 0) { }
        }
        catch (IOException e)
        {
            return $"hung up: {e.Message}";
        }
        return "hung up";
    }

    // ---- jobs

    private static async Task<string> AnotherJobAsync(TlsBench bench)
    {
        bench.Run(bench.StartServer(), 1, "hospital-1");
        bench.Join(bench.Connect("hospital-1"), change: p => p.UseJobId("another"));
        return await TlsBench.LoggedAsync(bench.SiteLog, "waits for job");
    }

    private static Task<string> AnotherSeedAsync(TlsBench bench)
    {
        bench.Run(bench.StartServer(), 1, "hospital-1");
        return RefusedAsync(bench, bench.To("hospital-1"), "hospital-1", change: p => p.UseSeed(7));
    }

    private static Task<string> AnotherLayoutAsync(TlsBench bench)
    {
        bench.Run(bench.StartServer(), 1, "hospital-1");
        return RefusedAsync(
            bench, bench.To("hospital-1"), "hospital-1", change: p => p.UseLayout(Sites.Model(1, 2).Layout));
    }

    private static Task<string> AnotherPolicyAsync(TlsBench bench)
    {
        bench.Run(bench.StartServer(), 1, p => p.RequirePolicy("stricter"), "hospital-1");
        return RefusedAsync(bench, bench.To("hospital-1"), "hospital-1", change: p => p.RequirePolicy("strict"));
    }

    // ---- frames

    private static Task<string> AnotherVersionAsync(TlsBench bench)
    {
        bench.StartServer();
        return RawAsync(bench, "hospital-1", async raw =>
        {
            await raw.IntroduceAsync(roster: 1);
            await raw.SendAsync(RawFrames.Hello(2, 3));
            return await raw.HearCloseAsync();
        });
    }

    private static Task<string> AboveTheLimitAsync(TlsBench bench)
    {
        bench.StartServer();
        return RawAsync(bench, "hospital-1", async raw =>
        {
            await raw.IntroduceAsync(roster: 1);
            await raw.SendAsync(RawFrames.Hello(), RawFrames.Message(0, new byte[70_000]));
            return await raw.HearCloseAsync();
        });
    }

    // A result of one number, whose layout says on its way that it has 2^62 of them in as many bytes.
    private static async Task<string> LayoutBombAsync(TlsBench bench)
    {
        var name = new string('n', 11);
        var model = StateDict.Create((name, new float[] { 0 }));
        var (type, role) = ((byte)model.Layout[0].DType, (byte)model.Layout[0].Role);
        byte[] honest = [0x94, 0xAB, .. name.Select(c => (byte)c), type, role, 1];
        byte[] bomb =
            [0x96, 0xA1, (byte)'n', type, role, 0xCE, 0x7F, 0xFF, 0xFF, 0xFF, 0xCE, 0x7F, 0xFF, 0xFF, 0xFF, 1];
        var server = bench.StartServer();
        bench.Run(
            server, 1, p => p.UseInitialModel(model), "hospital-1");
        bench.Join(bench.Connect("hospital-1", new SpoilingConnector(bench.To("hospital-1"), honest, bomb)));
        return await TlsBench.LoggedAsync(bench.SiteLog, "did not use the answer");
    }

    // ----

    private static async Task<string> RefusedAsync(
        TlsBench bench, IFlareConnector way, string name, long? incarnation = null,
        Action<SiteBuilder>? change = null)
    {
        var joined = bench.Join(bench.Connect(name, way, incarnation), change: change);
        try
        {
            return $"it was not refused: {await joined.Ended.WaitAsync(Patience.Long)}";
        }
        catch (FlareException e)
        {
            var reason = e.Message[(e.Message.IndexOf(": ", StringComparison.Ordinal) + 2)..].Split(". [")[0];
            await TlsBench.LoggedAsync(bench.SiteLog, reason); // its log says so, too
            return e.Message;
        }
    }

    private static async Task<string> RawAsync(TlsBench bench, string name, Func<RawTls, Task<string>> talk)
    {
        await using var raw = await RawTls.ConnectAsync(bench.Source(name).Current, bench.Port);
        return await talk(raw);
    }
}
