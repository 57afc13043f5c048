using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Tests.Transport.Identity;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>
/// Who proves a name by a certificate, over TLS and inside a connection, and who is refused in words.
/// </summary>
public sealed class TlsTests : IDisposable
{
    private readonly TestAuthority _authority = new();

    public void Dispose() => _authority.Dispose();

    private static ManualTime Clock(DateTimeOffset? now = null) =>
        new() { WallClock = since => (now ?? TestAuthority.Now) + since };

    private FlareIdentity Server => _authority.Identity(FlareRole.Server, "server");

    private FlareIdentity Site => _authority.Identity(FlareRole.Site, "hospital-1");

    /// <summary>Both ends as the way says; what each got of the other, or was told.</summary>
    private static async Task<(string? AtServer, string? AtSite, string Errors)> MeetAsync(
        bool inside, FlareIdentity server, FlareIdentity site, DateTimeOffset? now = null, string host = "127.0.0.1")
    {
        var logged = new LogRecorder();
        var options = new SocketOptions { Time = Clock(now), Logging = logged };
        var transport = inside ? SocketTransport.PlainTcp("0.0.0.0", 0, options)
            : SocketTransport.Tls("0.0.0.0", 0, server, options);
        await using var listener = transport.Listen();
        var port = new Uri(listener.Address).Port;
        var accepting = AcceptAsync();
        IFlareConnector connector = inside
            ? SocketTransport.PlainTcp(host, port).WithProof(site, Clock(now))
            : SocketTransport.Tls(host, port, site, options);
        string? atSite = null;
        var errors = "";
        try
        {
            var connection = await connector.ConnectAsync(CancellationToken.None);
            atSite = connection.PeerName;
            // With TLS 1.3 a site hears only when it reads that the server refuses it.
            if (!inside) await ReadSomethingAsync(connection);
            await using (connection)
            {
                var accepted = await accepting.WaitAsync(Patience.Long);
                return (accepted, atSite, "");
            }
        }
        catch (Exception e) when (e is FrameException or IOException)
        {
            errors = $"site: {e.Message}\n";
        }
        await listener.DisposeAsync();
        var atServer = await accepting.WaitAsync(Patience.Long);
        return (atServer, atSite, errors + string.Join("\n", logged.Entries.Select(e => e.Message)));

        async Task<string?> AcceptAsync()
        {
            var connection = await listener.AcceptAsync(CancellationToken.None);
            if (connection is null) return null;
            try
            {
                if (inside) connection = await ChannelProof.ProveAsync(connection, server, Clock(now));
                await connection.Output.WriteAsync(new byte[] { 42 });
                return connection.PeerName;
            }
            catch (FrameException e)
            {
                logged.Entries.Enqueue((default, 0, e.Message, e));
                return null;
            }
        }
    }

    private static async Task ReadSomethingAsync(FlareConnection connection)
    {
        var read = await connection.Input.ReadAsync();
        connection.Input.AdvanceTo(read.Buffer.End);
        if (read.IsCompleted) throw new IOException("hung up");
    }

    [Test]
    public async Task Both_ends_prove_their_names([Values] bool inside)
    {
        using var server = Server;
        using var site = Site;
        var (atServer, atSite, errors) = await MeetAsync(inside, server, site);
        Assert.That((atServer, atSite), Is.EqualTo(("hospital-1", "server")), errors);
    }

    [Test]
    public async Task A_certificate_of_another_authority_is_refused([Values] bool inside)
    {
        using var other = new TestAuthority("Other");
        using var server = Server;
        using var stranger = other.Identity(FlareRole.Site, "hospital-1");
        await RefusedAsync(inside, server, stranger, "vouches for");
        using var impostor = other.Identity(FlareRole.Server, "server");
        using var site = Site;
        await RefusedAsync(inside, impostor, site, "vouches for");
    }

    [TestCase(false, -400, "not yet valid")]
    [TestCase(true, -400, "not yet valid")]
    [TestCase(false, 4000, "expired")]
    [TestCase(true, 4000, "expired")]
    public async Task A_certificate_out_of_its_time_is_refused(bool inside, int days, string words)
    {
        using var server = Server;
        using var site = Site;
        await RefusedAsync(inside, server, site, words, TestAuthority.Now.AddDays(days));
    }

    [Test]
    public async Task A_site_that_shows_a_servers_certificate_and_the_other_way_round_are_refused([Values] bool inside)
    {
        using var server = Server;
        using var another = _authority.Identity(FlareRole.Server, "server");
        await RefusedAsync(inside, server, another, "role");
    }

    [Test]
    public async Task A_server_of_another_address_is_refused()
    {
        using var server = Server;
        using var site = Site;
        await RefusedAsync(false, server, site, "not for the address '127.0.0.2'", host: "127.0.0.2");
    }

    [Test]
    public async Task Garbage_in_place_of_a_proof_is_refused([Values(0, 1, 40_000, -1)] int length)
    {
        using var site = Site;
        var pipes = new PipePair();
        await using var connection = new FlareConnection(
            pipes.A.Input, pipes.A.Output, null, "garbage", true, () => default);
        var proving = ChannelProof.ProveAsync(connection, site, Clock()).AsTask();
        var bytes = new byte[64];
        BitConverter.TryWriteBytes(bytes, length);
        await pipes.B.Output.WriteAsync(bytes);
        await pipes.B.Output.CompleteAsync();
        var e = Assert.CatchAsync<FrameException>(() => proving.WaitAsync(Patience.Long));
        Assert.That(e!.Message, Does.Contain("garbage"));
    }

    private static async Task RefusedAsync(
        bool inside, FlareIdentity server, FlareIdentity site, string words, DateTimeOffset? now = null,
        string host = "127.0.0.1")
    {
        var (_, _, errors) = await MeetAsync(inside, server, site, now, host);
        Assert.That(errors, Does.Contain(words));
        Assert.That(errors, Does.Contain("site: "), "the site hears of it");
    }
}
