using System.Net.Sockets;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>What stands where a server would have its Unix socket: only a dead one is deleted.</summary>
[Platform(Exclude = "Win", Reason = "Windows has neither datagram sockets of this family nor links for everybody.")]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class SocketFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flare-file-").FullName;

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static FrameException Refused(string path)
    {
        var e = Assert.Throws<FrameException>(() => SocketTransport.Unix(path).Listen());
        Assert.That(e!.Message, Does.Contain(path).And.Contain("cannot be listened on"));
        return e;
    }

    private string Dead(string name)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(At("living")));
        File.Move(At("living"), At(name)); // the end of the socket would delete it
        return At(name);
    }

    [TestCase("the only copy"), TestCase("")]
    public void A_file_of_the_users_is_kept(string content)
    {
        File.WriteAllText(At("model.bin"), content);
        Assert.That(Refused(At("model.bin")).Message, Does.Contain("is no socket").And.Contain("another path"));
        Assert.That(File.ReadAllText(At("model.bin")), Is.EqualTo(content));
    }

    [Test]
    public void A_link_is_kept_whatever_it_leads_to()
    {
        File.WriteAllText(At("model.bin"), "the only copy");
        foreach (var (name, to) in new[]
        {
            ("to-file", At("model.bin")), ("to-socket", Dead("dead")), ("to-nothing", At("nothing")),
            ("to-folder", _folder),
        })
        {
            File.CreateSymbolicLink(At(name), to);
            Assert.That(Refused(At(name)).Message, Does.Contain("is no socket"), name);
            Assert.That(new FileInfo(At(name)).LinkTarget, Is.EqualTo(to));
        }
        Assert.That(File.ReadAllText(At("model.bin")), Is.EqualTo("the only copy"));
        Assert.That(File.Exists(At("dead")));
    }

    [Test]
    public void A_folder_is_kept()
    {
        Directory.CreateDirectory(At("folder"));
        Assert.That(Refused(At("folder")).Message, Does.Contain("is no socket"));
        Assert.That(Directory.Exists(At("folder")));
    }

    [Test]
    public async Task What_a_dead_server_left_is_replaced_and_what_a_living_one_has_is_not()
    {
        var path = Dead("flare.sock");
        await using (var listener = SocketTransport.Unix(path).Listen())
        {
            Assert.That(Refused(path).Message, Does.Contain("another process listens"));
            var connecting = SocketTransport.Unix(path).ConnectAsync(default);
            await using var accepted = await listener.AcceptAsync(default);
            await using var connection = await connecting;
            Assert.That(accepted, Is.Not.Null);
        }
        Assert.That(File.Exists(path), Is.False, "it is the server's to delete");
    }

    // Stands for a server of another user's, whom this one may not ask: its socket lives, and does not answer.
    [Test]
    public void A_living_socket_that_does_not_answer_is_kept()
    {
        using var other = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(At("other.sock")));
        Assert.That(Refused(At("other.sock")).Message, Does.Contain("cannot be told").And.Contain("another user's"));
        Assert.That(File.Exists(At("other.sock")));
    }
}
