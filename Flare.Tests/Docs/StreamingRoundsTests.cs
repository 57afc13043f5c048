using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/streaming-rounds.md, compiled and run behind Kestrel.</summary>
public class StreamingRoundsTests
{
    public sealed class RoundFeed
    {
        private readonly Lock _lock = new();
        private readonly List<RoundReport> _rounds = [];
        private TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _ended;

        public void Add(RoundReport? round)                                  // null: there will be no more
        {
            TaskCompletionSource heard;
            lock (_lock)
            {
                if (round is null) _ended = true;
                else _rounds.Add(round);
                (heard, _news) = (_news, new(TaskCreationOptions.RunContinuationsAsynchronously));
            }
            heard.SetResult();
        }

        public async IAsyncEnumerable<SseItem<RoundReport>> ReadAsync(int after, [EnumeratorCancellation] CancellationToken stop)
        {
            for (var next = Math.Max(0, after); ; next++)
            {
                RoundReport? round;
                while (!TryGet(next, out round, out var news))
                {
                    if (news is null) yield break;
                    await news.WaitAsync(stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    if (stop.IsCancellationRequested) yield break;
                }
                yield return new(round!, "round") { EventId = $"{next + 1}" };
            }
        }

        private bool TryGet(int index, out RoundReport? round, out Task? news)
        {
            lock (_lock)
            {
                round = index < _rounds.Count ? _rounds[index] : null;
                news = _ended ? null : _news.Task;
                return round is not null;
            }
        }
    }

    public sealed class Training(Federation federation, RoundFeed feed) : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            try
            {
                await foreach (var round in federation.RunAsync(StateDict.Create(("line", [0, 0])), stoppingToken)) feed.Add(round);
            }
            finally
            {
                feed.Add(null);
            }
        }
    }

    private static WebApplication Build(string[] args, Federation federation, string address)
    {
        var builder = WebApplication.CreateSlimBuilder(args);
        builder.Services.AddSingleton(federation).AddSingleton<RoundFeed>().AddHostedService<Training>();
        builder.WebHost.UseUrls(address);
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.MapGet("/rounds", (RoundFeed feed, IHostApplicationLifetime host, HttpContext http, [FromHeader(Name = "Last-Event-ID")] int? last) =>
        {
            var stop = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, host.ApplicationStopping);
            http.Response.RegisterForDispose(stop);
            return TypedResults.ServerSentEvents(feed.ReadAsync(last ?? 0, stop.Token));
        });
        return app;
    }

    private static async Task<List<RoundReport>> ReadAsync(Uri address, int? last, int count, CancellationToken abort)
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(address, "rounds"));
        if (last is { } id) request.Headers.Add("Last-Event-ID", $"{id}");
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, abort);
        await using var stream = await response.Content.ReadAsStreamAsync(abort);
        var events = SseParser.Create(stream, (_, data) => JsonSerializer.Deserialize<RoundReport>(data, JsonSerializerOptions.Web)!);
        List<RoundReport> rounds = [];
        await foreach (var item in events.EnumerateAsync(abort))
        {
            rounds.Add(item.Data);
            if (rounds.Count == count) break;
        }
        return rounds;
    }

    private static Federation Endless(int rounds, TaskCompletionSource gate) => Federation.InProcess(f => f
        .AddSite("site-1", _ => new Scripted(async (task, input, context, abort) =>
        {
            if (context.Round == 3) await gate.Task.WaitAsync(abort);
            return task == TaskNames.Train
                ? Sites.Diff(Dxo.From(input).Tensors, 1)
                : Dxo.Metrics(("accuracy", 0.75)).ToShareable();
        }))
        .UseController(new FedAvg { Rounds = rounds, MinSites = 1 }));

    private static Uri AddressOf(WebApplication app) => new(app.Urls.Single());

    [Test]
    public async Task Every_browser_sees_every_round_whenever_it_comes_and_goes_on_where_it_was_cut()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var federation = Endless(4, gate);
        await using var app = Build([], federation, "http://127.0.0.1:0");
        await app.StartAsync(patience.Token);
        var first = ReadAsync(AddressOf(app), null, int.MaxValue, patience.Token);
        var cut = await ReadAsync(AddressOf(app), null, 2, patience.Token);
        Assert.That(cut.Select(r => r.Number), Is.EqualTo(new[] { 1, 2 }));
        gate.SetResult();
        var resumed = await ReadAsync(AddressOf(app), 2, int.MaxValue, patience.Token);
        Assert.That(resumed.Select(r => r.Number), Is.EqualTo(new[] { 3, 4 }));
        var all = await first;
        Assert.That(all.Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3, 4 }), "the stream ends with the run");
        Assert.That(all[3].Metrics["accuracy"], Is.EqualTo(0.75));
        Assert.That(all[3].Sites.Select(s => s.Status), Is.All.EqualTo(SiteStatus.Accepted));
        await app.StopAsync(patience.Token);
    }

    [Test]
    public async Task The_host_stops_at_once_though_a_browser_listens()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        await using var federation = Endless(1_000_000, new());
        // Kestrel waits so long for a response that does not end.
        await using var app = Build(["--shutdownTimeoutSeconds=3600"], federation, "http://127.0.0.1:0");
        await app.StartAsync(patience.Token);
        var listening = ReadAsync(AddressOf(app), null, int.MaxValue, patience.Token);
        await ReadAsync(AddressOf(app), 1, 1, patience.Token); // the second round is done, the third waits
        await app.StopAsync(patience.Token);
        Assert.That(patience.IsCancellationRequested, Is.False, "the response ended by itself");
        Assert.That(await listening, Has.Count.LessThanOrEqualTo(2));
    }
}
