using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>Federated events take neither the memory nor the end of a job, however many are fired.</summary>
public class EventLimitTests
{
    private static StateDict Initial => Sites.Model(1);

    private static Scripted Firing(int count, Action? fired = null) => new Scripted((_, input, context, _) =>
    {
        for (var i = 0; i < count; i++) context.FireFederated("progress", new Shareable());
        fired?.Invoke();
        return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
    });

    [Test]
    public async Task A_site_that_fires_faster_than_the_server_looks_loses_events_and_the_log_says_so_in_few_lines()
    {
        const int most = 50;
        var log = new LogRecorder();
        using var looks = new ManualResetEventSlim();
        using var fired = new ManualResetEventSlim();
        var (seen, held) = (0, 0);
        var slow = new LambdaComponent((type, _) =>
        {
            if (type != "progress" || seen++ > 0) return;
            looks.Set();
            fired.Wait(Patience.Long); // on the loop: nothing is sent or confirmed until all are fired
        });
        string[] Words() => [.. log.Entries.Where(e => e.Level == LogLevel.Warning).Select(e => e.Message)
            .Where(m => m.Contains($"event progress is dropped, because {most} wait", StringComparison.Ordinal))];
        var firing = new Scripted((_, input, context, _) =>
        {
            context.FireFederated("progress", new Shareable());
            looks.Wait(Patience.Long, CancellationToken.None);
            for (var i = 0; i < 20_000; i++) context.FireFederated("progress", new Shareable());
            held = Words().Length;
            fired.Set();
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        var federation = await Sites.RunAsync(
            Sites.Training(), Initial,
            f => f.UseLogging(log).UseLimits(new() { MaxPendingEvents = most }).AddServerComponent(slow), firing);
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
        Assert.That(
            held, Is.EqualTo(15),
            "19,950 are dropped at once and not kept for the loop: told at 1, 2, 4 … 16,384");
        Assert.That(Words()[^1], Does.Contain("(16384 dropped so far)"));
        Assert.That(seen, Is.InRange(most, most + 1));
    }

    [Test]
    public async Task Events_that_the_server_is_late_with_do_not_hold_up_a_cancel()
    {
        using var abort = new CancellationTokenSource();
        using var fired = new ManualResetEventSlim();
        var (seen, after) = (0, 0);
        var slow = new LambdaComponent((type, _) =>
        {
            if (type != "progress") return;
            if (abort.IsCancellationRequested) after++;
            seen++;
            if (seen == 1) fired.Wait(Patience.Long);
            if (seen == 2) abort.Cancel(); // with thousands in the loop's queue: they were all sent by now
        });
        await using var federation = Federation.InProcess(f => f
            .AddSites(1, _ => Firing(5_000, fired.Set)).UseController(Sites.Training()).AddServerComponent(slow));
        Assert.That(
            () => federation.RunToEndAsync(Initial, abort.Token).WaitAsync(Patience.Long),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That((seen, after), Is.EqualTo((2, 0)), "after the cancel nobody is told of what is left");
    }

    [Test]
    public void A_panic_behind_more_events_than_there_is_room_for_still_stops_the_job()
    {
        var panicking = new Scripted((_, _, context, _) =>
        {
            for (var i = 0; i < 1000; i++) context.FireFederated("progress", new Shareable());
            context.Panic("the disk burns");
            return default;
        });
        Assert.That(
            () => Sites.RunAsync(
                Sites.Training(rounds: 1000), Initial, f => f.UseLimits(new() { MaxPendingEvents = 1 }), panicking),
            Throws.TypeOf<FlarePanicException>().With.Property("Reason").EqualTo("the disk burns"));
    }

    [Test]
    public async Task The_server_that_fires_too_many_loses_them_with_a_word()
    {
        var log = new LogRecorder();
        var heard = 0;
        await Sites.RunAsync(
            new Workflow((federation, _) =>
            {
                for (var i = 0; i < 1000; i++) federation.Context.FireFederated("news", new Shareable());
                return Task.CompletedTask;
            }),
            Initial,
            f => f.UseLogging(log).UseLimits(new() { MaxPendingEvents = 10 }).ConfigureSites(
                (site, _) => site.AddComponent(new LambdaComponent((type, _) => { if (type == "news") heard++; }))),
            Sites.Adding(1));
        Assert.That(heard, Is.LessThanOrEqualTo(10));
        Assert.That(log.Entries.Select(e => e.Message), Has.Some.Contains("event news is dropped"));
    }
}
