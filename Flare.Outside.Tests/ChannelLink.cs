using System.Buffers;
using System.Threading.Channels;
using Flare.Runtime;

namespace Flare.Outside.Tests;

/// <summary>
/// A transport as a user writes one: it carries bytes, whole messages or parts of them, through a queue for each
/// direction of each site. A session begins when both ends have started, and is never lost.
/// </summary>
/// <param name="loop">The server's loop.</param>
/// <param name="partBytes">How many bytes of a message go at once.</param>
internal sealed class ChannelLink(SynchronizationContext loop, int partBytes) : IServerLink
{
    private readonly Dictionary<string, SiteEnd> _sites = [];

    public LinkPromise Promise => LinkPromise.Session;

    /// <summary>The bytes that went to sites and came from them, heads included.</summary>
    public long Carried { get; private set; }

    /// <summary>The end of a site; all of them before the server starts.</summary>
    public ISiteLink ConnectSite(string name, SynchronizationContext siteLoop) =>
        _sites[name] = new SiteEnd(siteLoop, partBytes);

    public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change)
    {
        foreach (var (name, site) in _sites)
            _ = site.ToServer.DeliverAsync(
                loop, message =>
                {
                    Carried += FrameHead.Size + message.Bytes.Length;
                    receive(name, message);
                }, begins: () => change(name, LinkState.Connected), site.Started);
    }

    public void Send(string site, LinkMessage message)
    {
        Carried += FrameHead.Size + message.Bytes.Length;
        _sites[site].ToSite.Send(message);
    }

    private sealed class SiteEnd(SynchronizationContext siteLoop, int partBytes) : ISiteLink
    {
        private readonly TaskCompletionSource _started = new();

        public LinkPromise Promise => LinkPromise.Session;

        public Pipe ToServer { get; } = new(partBytes);
        public Pipe ToSite { get; } = new(partBytes);
        public Task Started => _started.Task;

        public void Start(Action<LinkMessage> receive, Action<LinkState> change)
        {
            _ = ToSite.DeliverAsync(siteLoop, receive, begins: () => change(LinkState.Connected), Task.CompletedTask);
            _started.SetResult();
        }

        public void Send(LinkMessage message) => ToServer.Send(message);
    }

    /// <summary>One direction: arrays of bytes, each a head and a part of a message.</summary>
    private sealed class Pipe(int partBytes)
    {
        private readonly Channel<byte[]> _bytes = Channel.CreateUnbounded<byte[]>();

        public void Send(LinkMessage message)
        {
            var (head, rest) = (message.Head, message.Bytes);
            do
            {
                var part = rest.Slice(0, Math.Min(partBytes, rest.Length));
                var bytes = new byte[FrameHead.Size + part.Length];
                (head with { Offset = head.Length - rest.Length }).Write(bytes);
                part.CopyTo(bytes.AsSpan(FrameHead.Size));
                _bytes.Writer.TryWrite(bytes);
                rest = rest.Slice(part.Length);
            }
            while (!rest.IsEmpty);
        }

        public async Task DeliverAsync(
            SynchronizationContext to, Action<LinkMessage> receive, Action begins, Task mayBegin)
        {
            await mayBegin.ConfigureAwait(false);
            to.Post(_ => begins(), null);
            await foreach (var bytes in _bytes.Reader.ReadAllAsync().ConfigureAwait(false))
            {
                var head = FrameHead.Read(bytes);
                to.Post(
                    _ => receive(new LinkMessage(head, new ReadOnlySequence<byte>(bytes, FrameHead.Size,
                        bytes.Length - FrameHead.Size))), null);
            }
        }
    }
}
