using System.Buffers;
using Flare.Runtime;
using Flare.Testing;

namespace Flare.Tests.Federations;

/// <summary>
/// A federation over the rig's network, on virtual time, whose models are counted as they are asked for and sent.
/// </summary>
internal sealed class Wire
{
    private readonly List<SiteRuntime> _runtimes = [];
    private readonly HashSet<string> _onTheirWay = new(StringComparer.Ordinal);

    public Wire() => Network = new SimulatedNetwork(Loop);

    public SimulationLoop Loop { get; } = new(1);
    public SimulatedNetwork Network { get; }
    public NetworkFaults Faults { get; init; } = new() { IsReliable = true };
    public RuntimeLimits Limits { get; init; } = new();
    public required StateDict Model { get; init; }

    /// <summary>A site's executor at its first start, its second and so on.</summary>
    public Func<string, int, Executor> Executor { get; init; } = (_, _) => Federations.Sites.Adding(1);

    /// <summary>Whether a bit of every model is turned over on its way.</summary>
    public bool Spoils { get; init; }

    /// <summary>What becomes of a model's bytes on their way; null where nothing does.</summary>
    public Func<LinkMessage, LinkMessage>? Garbles { get; init; }

    /// <summary>A site that is cut off once it has asked for its first model; null for none.</summary>
    public string? Cut { get; init; }

    /// <summary>A site whose first word that a model has come is lost; null for none.</summary>
    public string? Loses { get; init; }

    /// <summary>The sites, in the order in which they first asked for a model.</summary>
    public List<string> Asked { get; } = [];

    /// <summary>The sites, in the order in which they were first sent one.</summary>
    public List<string> Served { get; } = [];

    /// <summary>The most models that were on their way at once.</summary>
    public int MostDownloads { get; private set; }

    public List<string> Sites { get; } = [];
    public int Rounds { get; private set; }

    /// <summary>Bytes of models that were sent to a site.</summary>
    public long BytesTo(string site) => Network.ContentBytes(site, LinkDirections.ToSite);

    /// <summary>Runs a workflow to its end; where a time is given, each site starts again once, after it.</summary>
    public void Run(Controller workflow, int sites, TimeSpan? startAgain = null)
    {
        Network.Faults = Faults;
        Sites.AddRange(Enumerable.Range(1, sites).Select(i => $"site-{i}"));
        Exception? failure = null;
        var end = Loop.Run(async () =>
        {
            using var server = new JobServer(new()
            {
                JobId = "job", Loop = Loop, Link = new Counting(this, Network.ConnectServer()), Sites = [.. Sites],
                Controllers = [workflow], InitialModel = Model, Time = Loop.Time, Compute = Loop.Compute,
                Limits = Limits,
            });
            var running = server.RunAsync(CancellationToken.None);
            foreach (var site in Sites) Start(site, 1);
            if (startAgain is { } after)
            {
                await Task.Delay(after, Loop.Time);
                foreach (var runtime in _runtimes) runtime.Crash();
                foreach (var site in Sites) Start(site, 2);
            }
            try
            {
                while (await server.Reports.WaitToReadAsync())
                    while (server.Reports.TryRead(out _)) Rounds++;
            }
            catch (Exception e)
            {
                failure = e;
            }
            await running;
            foreach (var runtime in _runtimes) runtime.Crash();
        }, TimeSpan.FromMinutes(30));
        if (failure is not null) throw failure;
        Assert.That(end, Is.EqualTo(SimulationEnd.Completed));
    }

    private void Start(string site, int start)
    {
        var runtime = new SiteRuntime(new SiteDefinition(site, Executor(site, start)), new()
        {
            JobId = "job", Loop = Loop, Link = Network.ConnectSite(site), Time = Loop.Time, Compute = Loop.Compute,
            Limits = Limits, Incarnation = start,
        });
        _runtimes.Add(runtime);
        runtime.Start();
    }

    private sealed class Counting(Wire wire, IServerLink inner) : IServerLink
    {
        private bool _hasLost;

        public LinkPromise Promise => inner.Promise;

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) => inner.Start(
            (site, message) =>
            {
                if (message.Head is { Kind: FrameKind.TensorsWanted, Offset: 0 })
                {
                    if (!wire.Asked.Contains(site)) wire.Asked.Add(site);
                    if (site == wire.Cut) wire.Network.Cut(site, LinkDirections.Both);
                }
                if (message.Head is { Kind: FrameKind.TensorsReceived, Offset: 0 })
                {
                    if (site == wire.Loses && !_hasLost)
                    {
                        _hasLost = true;
                        return;
                    }
                    wire._onTheirWay.Remove(site);
                }
                receive(site, message);
            }, change);

        public void Send(string site, LinkMessage message)
        {
            if (message.Head.Kind == FrameKind.TensorsDelivery)
            {
                if (!wire.Served.Contains(site)) wire.Served.Add(site);
                wire._onTheirWay.Add(site);
                wire.MostDownloads = Math.Max(wire.MostDownloads, wire._onTheirWay.Count);
                if (wire.Spoils) message = Spoilt(message);
                if (wire.Garbles is { } garble) message = garble(message);
            }
            inner.Send(site, message);
        }

        private static LinkMessage Spoilt(LinkMessage message)
        {
            var bytes = message.Bytes.ToArray();
            bytes[^100] ^= 1;
            return new(message.Head, new ReadOnlySequence<byte>(bytes));
        }
    }
}
