using Flare.Runtime;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>A server alone and a link that counts: how many bytes of models wait to be sent.</summary>
public class DownwardBudgetTests
{
    private const int Megabytes = 40;
    private const int Count = 200;

    [TestCase(4, long.MaxValue)]
    [TestCase(200, 4L * (Megabytes << 20) + 1)]
    public void A_large_model_for_two_hundred_sites_stays_under_the_budget(int most, long bytes)
    {
        var loop = new SimulationLoop(1);
        var link = new CountingLink(loop);
        using var model = StateDict.Create(("w", new float[Megabytes << 18]));
        var allocated = 0L;
        loop.Run(async () =>
        {
            using var server = new JobServer(new()
            {
                JobId = "job", Loop = loop, Link = link, Controllers = [new FedAvg { Rounds = 1 }],
                Sites = [.. Enumerable.Range(0, Count).Select(i => $"site-{i}")],
                InitialModel = model, Time = loop.Time, Compute = loop.Compute,
                Limits = new() { MaxConcurrentDownloads = most, DownloadBudgetBytes = bytes },
            });
            _ = server.RunAsync(CancellationToken.None);
            await Task.Delay(TimeSpan.FromSeconds(1), loop.Time);
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < Count; i++)
                link.Say($"site-{i}", new SiteHello(Guid.Empty, Hello.Terms with { Layout = "" }));
            await link.Done.Task;
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }, TimeSpan.FromMinutes(5));
        Assert.That(link.Served, Is.EqualTo(Count));
        Assert.That(link.Most, Is.InRange(4L * Megabytes << 20, 4L * ((Megabytes << 20) + 1000)));
        Assert.That(link.OfferBytes, Is.LessThan(1000), "an offer is small");
        Assert.That(allocated, Is.LessThan(Megabytes << 20), "models are sent from where they lie");
    }

    /// <summary>Sites that take every task, ask for its model, and have it a second later.</summary>
    private sealed class CountingLink(SimulationLoop loop) : IServerLink
    {
        private Action<string, LinkMessage>? _receive;
        private long _onTheirWay;

        public LinkPromise Promise => LinkPromise.Session;
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
        public long Most { get; private set; }
        public long OfferBytes { get; private set; }
        public int Served { get; private set; }

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) => _receive = receive;

        public void Say(string site, SiteMessage message) =>
            loop.Post(_ => _receive!(site, new LinkMessage(1, 1, message)), null);

        public void Send(string site, LinkMessage message)
        {
            var length = message.Bytes.Length;
            switch (message.Record)
            {
                case TaskOffer offer:
                    OfferBytes = Math.Max(OfferBytes, length);
                    Say(site, new TensorsWanted(offer.Token, offer.Contents.Single().Sha256));
                    break;
                case TensorsDelivery delivery:
                    Most = Math.Max(Most, _onTheirWay += length);
                    loop.After(TimeSpan.FromSeconds(1), () =>
                    {
                        _onTheirWay -= length;
                        Say(site, new TensorsReceived(delivery.Token, delivery.Sha256));
                        if (++Served == Count) Done.TrySetResult();
                    });
                    break;
            }
        }
    }
}
