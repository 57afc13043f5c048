using System.Runtime.InteropServices;
using Flare.Crypto;
using Flare.Runtime;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

/// <summary>
/// A server and sites as separate processes would set them up, each with its own policy and keys, and a record of all
/// that a site sends.
/// </summary>
internal sealed class TappedFederation
{
    private readonly List<Shareable> _sent = [];

    public EncryptionPolicy ServerPolicy { get; init; } = EncryptedSites.Policy;
    public KeyId ServerKey { get; init; } = RlweFixture.Key(1).Id;
    public Func<int, EncryptionPolicy> SitePolicy { get; init; } = _ => EncryptedSites.Policy;
    public Func<int, KeyRing> Keys { get; init; } = _ => EncryptedSites.Ring(1);
    public Func<int, Executor> Trainer { get; init; } = site => EncryptedSites.Trainer(site);
    public Func<EncryptedAggregator, Controller>? Workflow { get; init; }
    public int Sites { get; init; } = 3;
    public int Rounds { get; init; } = 2;
    public int MinSites { get; init; } = 1;
    public bool Encrypts { get; init; } = true;
    public string Job { get; init; } = "job";

    /// <summary>What becomes of a task's data at a hostile server.</summary>
    public Func<Shareable, FLContext, Shareable>? Meddle { get; init; }

    /// <summary>What becomes of a site's answer on the way to the server.</summary>
    public Func<Shareable, FLContext, Shareable>? Reroute { get; init; }

    public List<RoundReport> Reports { get; } = [];

    public Exception? Failure { get; private set; }

    public StateDict Model { get; private set; } = null!;

    /// <summary>Every message that a site sent with an answer, of whatever kind.</summary>
    public IReadOnlyList<Shareable> Sent => _sent;

    /// <summary>The answers that carried tensors.</summary>
    public IEnumerable<StateDict> SentTensors =>
        _sent.Where(m => m.ContentType == ContentTypes.Dxo).Select(Dxo.From).Where(d => d.HasTensors)
        .Select(d => d.Tensors);

    /// <summary>The reasons why sites did not do the last attempt's task.</summary>
    public string Reasons =>
        string.Join(
            "\n", (Failure as TooFewResponsesException)?.Sites.Select(s => $"{s}")
            ?? Reports.SelectMany(r => r.Sites).Select(s => $"{s}"));

    public async Task<TappedFederation> RunAsync(StateDict? initial = null)
    {
        var loop = new JobLoop(e => Failure ??= e);
        var link = new Tap(new InProcessLink(loop), _sent);
        var aggregator = new EncryptedAggregator(ServerPolicy, ServerKey);
        Controller workflow = Workflow is not null ? Workflow(aggregator)
            : Encrypts
            ? new FedAvg { Rounds = Rounds, MinSites = MinSites, Grace = TimeSpan.FromSeconds(20),
                Aggregator = aggregator }
            : new FedAvg { Rounds = Rounds, MinSites = MinSites,
                Aggregator = new ExactAggregator { Kind = DataKind.Weights } };
        var options = new JobServerOptions
        {
            JobId = Job,
            Loop = loop,
            Link = link,
            Controllers = [workflow],
            InitialModel = initial ?? EncryptedSites.Model(),
            Sites = [.. Enumerable.Range(0, Sites).Select(Name)],
        };
        if (Meddle is not null) options.AddFilter(FilterPlace.ServerOut, new Lambda(Meddle));
        if (Reroute is not null) options.AddFilter(FilterPlace.ServerIn, new Lambda(Reroute));
        var server = new JobServer(options);
        var done = new TaskCompletionSource();
        loop.Post(_ => _ = StartAsync(), null);
        try
        {
            await foreach (var report in server.Reports.ReadAllAsync()) Reports.Add(report);
        }
        catch (FlareException e)
        {
            Failure = e;
        }
        await done.Task;
        Model = server.Model;
        return this;

        async Task StartAsync()
        {
            SiteRuntime[] sites = [.. Enumerable.Range(0, Sites).Select(site =>
            {
                var keys = Keys(site);
                var definition = new SiteDefinition(Name(site), Trainer(site)).UsePolicy(Flare.SitePolicy.InProcess)
                    .AddOutermostFilter(FilterPlace.SiteIn, new DecryptFilter(SitePolicy(site), keys))
                    .AddOutermostFilter(FilterPlace.SiteOut, new EncryptFilter(SitePolicy(site), keys));
                return new SiteRuntime(
                    definition,
                    new SiteRuntimeOptions { JobId = Job, Loop = loop, Link = link.ConnectSite(Name(site)) });
            })];
            var running = server.RunAsync(CancellationToken.None);
            foreach (var site in sites) site.Start();
            await running;
            done.SetResult();
        }
    }

    /// <summary>Opens the model that the server has in the end.</summary>
    public StateDict Decrypt(params int[] keys)
    {
        using var ring = EncryptedSites.Ring(keys is [] ? [1] : keys);
        using var encryption = new HomomorphicEncryption(ServerPolicy, ring);
        return encryption.Decrypt(Model);
    }

    /// <summary>Whether a run of 16 bytes of a tensor is anywhere in what the sites sent.</summary>
    public bool Leaks(StateDict model, string tensor)
    {
        var secret = MemoryMarshal.AsBytes(model[tensor].AsReadOnlySpan<float>()).Slice(64, 16).ToArray();
        return SentTensors.Any(sent => sent.Any(t => t.Spec.DType switch
        {
            DType.UInt8 => t.AsReadOnlySpan<byte>().IndexOf(secret) >= 0,
            DType.Float32 => MemoryMarshal.AsBytes(t.AsReadOnlySpan<float>()).IndexOf(secret) >= 0,
            _ => false,
        }));
    }

    public static string Name(int site) => $"site-{site + 1}";

    internal sealed class Lambda(Func<Shareable, FLContext, Shareable> change) : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(change(message, context));
    }

    /// <summary>Looks at what crosses. Tensors are copied: the runtime may give them back once they are used.</summary>
    private sealed class Tap(InProcessLink inner, List<Shareable> sent) : IServerLink
    {
        public LinkPromise Promise => inner.Promise;

        public bool SharesMemory => inner.SharesMemory;

        public void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change) =>
            inner.Start(receive, change);

        public void Send(string site, LinkMessage message) => inner.Send(site, message);

        public SiteTap ConnectSite(string site) => new(inner.ConnectSite(site), sent);
    }

    private sealed class SiteTap(ISiteLink inner, List<Shareable> sent) : ISiteLink
    {
        public LinkPromise Promise => inner.Promise;

        public bool SharesMemory => inner.SharesMemory;

        public void Start(Action<LinkMessage> receive, Action<LinkState> change) => inner.Start(receive, change);

        public void Send(LinkMessage message)
        {
            if (message.Record is TaskResult result)
            {
                var copy = result.Result;
                if (copy.ContentType == ContentTypes.Dxo && Dxo.From(copy) is { HasTensors: true } data)
                {
                    copy = new Dxo(data.Kind, data.Tensors.Clone(), data.Values, data.Meta).ToShareable();
                    foreach (var (name, value) in result.Result.Headers) copy.Headers[name] = value;
                }
                sent.Add(copy);
            }
            inner.Send(message);
        }
    }
}
