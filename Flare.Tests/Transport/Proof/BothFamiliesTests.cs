using System.Net;
using System.Net.Sockets;
using Flare.Provisioning;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>A server by its kit is there for sites of IPv6 and of IPv4.</summary>
public class BothFamiliesTests
{
    [Test]
    public async Task A_server_by_kit_listens_to_IPv6_and_IPv4_at_the_port_of_its_first_flare_address()
    {
        if (!Socket.OSSupportsIPv6) Assert.Ignore("This machine has no IPv6.");
        var folder = Directory.CreateTempSubdirectory("flare-both-").FullName;
        var logged = new LogRecorder();
        var port = FreePort();
        using (var authority = Provisioner.Open(Path.Combine(folder, "ca")))
        {
            authority.Provision(
                new()
                {
                    Project = "digits-study", Sites = [new("hospital-1", false)],
                    Server = new("server", [new("wss://localhost:1/flare"), new($"flare://localhost:{port}")]),
                },
                folder);
        }
        using (var identity = IdentitySource.Open(Provisioner.PathOf(folder, "server")))
        await using (var server = FederationServer.Start(identity, new() { Logging = logged }))
        {
            Assert.That(new Uri(server.Address).Port, Is.EqualTo(port));
            foreach (var address in new[] { IPAddress.Loopback, IPAddress.IPv6Loopback })
            {
                using var client = new TcpClient(address.AddressFamily);
                await client.ConnectAsync(address, port).WaitAsync(Patience.Long);
                await client.GetStream().WriteAsync("no TLS at all, and so it is dropped"u8.ToArray());
                await FrameConnectionTests.WaitFor(
                    () => logged.Entries.Any(e => e.Message.Contains($"A connection from {address} was dropped")));
            }
        }
        Directory.Delete(folder, recursive: true);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.IPv6Any, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
