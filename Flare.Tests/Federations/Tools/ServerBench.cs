using System.Threading.Channels;
using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>
/// A server alone, with sites played by the test: it reads what the server says and says what it likes. The link claims
/// to lose messages, so that the server answers everything; its clock stands still, so that nothing is repeated unless
/// the test lets time pass.
/// </summary>
internal sealed class ServerBench : IServerLink, IAsyncDisposable
{
    private readonly Dictionary<string, Channel<LinkMessage>> _said = new(StringComparer.Ordinal);
    private readonly JobLoop _loop = new(e => TestContext.Error.WriteLine(e));
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly JobServer _server;
    private readonly string[] _sites;
    private readonly Dictionary<string, long> _incarnations = new(StringComparer.Ordinal);
    private Action<string, LinkMessage>? _receive;

    public ServerBench(Func<ControllerContext, CancellationToken, Task> workflow, params string[] sites)
        : this(TimeSpan.FromDays(1), workflow, sites) { }

    public ServerBench(TimeSpan lease, Func<ControllerContext, CancellationToken, Task> workflow, params string[] sites)
        : this(workflow, new RuntimeLimits { SiteLease = lease }, sites) { }

    public ServerBench(
        Func<ControllerContext, CancellationToken, Task> workflow, RuntimeLimits limits, params string[] sites)
    {
        _sites = sites;
        _server = new JobServer(new()
        {
            JobId = "job",
            Loop = _loop,
            Link = this,
            Controllers = [new Workflow(workflow)],
            Components = [Events],
            InitialModel = Sites.Model(1, 2),
            Sites = sites,
            Time = Time,
            Limits = limits,
        });
        Ended = RunAsync();
    }

    public ManualTime Time { get; } = new();
    public EventRecorder Events { get; } = new();
    public StateDict Model => _server.Model;

    /// <summary>The reports; throws what ended the job.</summary>
    public Task<List<RoundReport>> Ended { get; }

    public LinkPromise Promise => LinkPromise.None;

    /// <summary>The start of the site that the message of <see cref="NextAsync"/> was for.</summary>
    public long LastIncarnation { get; private set; }

    void IServerLink.Start(Action<string, LinkMessage> receive, Action<string, LinkState> change)
    {
        _receive = receive;
        _started.TrySetResult();
    }

    void IServerLink.Send(string site, LinkMessage message) => Box(site).Writer.TryWrite(message);

    /// <summary>A site says something.</summary>
    public async Task SayAsync(Heard said)
    {
        await _started.Task;
        if (said.Message is SiteHello) _incarnations[said.Site] = said.Incarnation;
        _loop.Post(
            _ => _receive!(said.Site, new LinkMessage(said.Incarnation, said.Epoch, said.Message)), null);
    }

    /// <summary>The link hands a message over.</summary>
    public async Task DeliverAsync(string site, LinkMessage message)
    {
        await _started.Task;
        _loop.Post(_ => _receive!(site, message), null);
    }

    /// <summary>The next message of a kind to a site; others before it are passed over.</summary>
    public async Task<T> NextAsync<T>(string site) where T : class
    {
        using var patience = new CancellationTokenSource(Patience.Long);
        await foreach (var message in Box(site).Reader.ReadAllAsync(patience.Token))
        {
            if (message.Record is not T wanted) continue;
            LastIncarnation = message.Incarnation;
            return wanted;
        }
        throw new InvalidOperationException("The server was disposed of.");
    }

    /// <summary>Everything said to a site so far that was not read.</summary>
    public IReadOnlyList<object> Unread(string site)
    {
        var messages = new List<object>();
        while (Box(site).Reader.TryRead(out var message)) messages.Add(message.Record!);
        return messages;
    }

    /// <summary>A site joins and gets its task.</summary>
    public async Task<TaskOffer> JoinAsync(string site, long incarnation = 1)
    {
        await SayAsync(Hello.Of(site, incarnation));
        return await NextAsync<TaskOffer>(site);
    }

    /// <summary>Waits until the server has done all that was posted before.</summary>
    public Task SettleAsync()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(64);
        return done.Task;

        void Post(int hops) => _loop.Post(_ => { if (hops == 0) done.SetResult(); else Post(hops - 1); }, null);
    }

    /// <summary>An answer as a site's runtime would send it.</summary>
    public static Heard Answer(string site, TaskOffer offer, float value, long steps = 1, long incarnation = 1)
    {
        var result = Dxo.WeightDiff(Sites.Model(value, value)).WithMeta(MetaKey.NumStepsCurrentRound, steps)
            .ToShareable();
        result.Headers[HeaderNames.TaskName] = offer.TaskName;
        return new(site, incarnation, offer.Token.Epoch, new TaskResult(offer.Token, result.Freeze()));
    }

    /// <summary>The sites confirm the job's end.</summary>
    public async Task EndAsync(params string[] extra)
    {
        // The server hears it only once the job ends: it is said again until then.
        using var patience = new CancellationTokenSource(Patience.Long);
        while (!Ended.IsCompleted)
        {
            patience.Token.ThrowIfCancellationRequested();
            foreach (var site in _sites.Concat(extra))
                await SayAsync(new(site, _incarnations.GetValueOrDefault(site), 1, new JobEndReceived()));
            await SettleAsync();
            await Task.Delay(1, CancellationToken.None); // nothing is waited for in a spin
        }
        await Ended;
    }

    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        _loop.Post(_ => _server.Dispose(), null);
        await SettleAsync();
        _stop.Dispose();
    }

    private Channel<LinkMessage> Box(string site)
    {
        lock (_said)
        {
            if (!_said.TryGetValue(site, out var box)) _said[site] = box = Channel.CreateUnbounded<LinkMessage>();
            return box;
        }
    }

    private async Task<List<RoundReport>> RunAsync()
    {
        _loop.Post(_ => _ = _server.RunAsync(_stop.Token), null);
        var reports = new List<RoundReport>();
        await foreach (var report in _server.Reports.ReadAllAsync()) reports.Add(report);
        return reports;
    }
}
