using System.Globalization;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>Hours go by the clock on the operator's wall.</summary>
public class SiteHoursTests
{
    /// <summary>Central Europe's: an hour ahead of UTC, two from the last Sunday of March to that of October.</summary>
    private static readonly TimeZoneInfo Central = TimeZoneInfo.CreateCustomTimeZone(
        "Central", TimeSpan.FromHours(1), "Central", "Central", "Central, in summer",
        [TimeZoneInfo.AdjustmentRule.CreateAdjustmentRule(
            DateTime.MinValue.Date, DateTime.MaxValue.Date, TimeSpan.FromHours(1),
            TimeZoneInfo.TransitionTime.CreateFloatingDateRule(new(1, 1, 1, 2, 0, 0), 3, 5, DayOfWeek.Sunday),
            TimeZoneInfo.TransitionTime.CreateFloatingDateRule(new(1, 1, 1, 3, 0, 0), 10, 5, DayOfWeek.Sunday))]);

    // On a clock that stands still until it is set, nobody hears of a silent end, and nobody waits to connect again;
    // and whatever is under way while it is set takes hours by it.
    private static readonly LinkLimits Patient = new()
    {
        Frames = new()
        {
            IdleTimeout = TimeSpan.FromDays(1), StallTimeout = TimeSpan.FromDays(1),
            HandshakeTimeout = TimeSpan.FromDays(1), ReceiptDelay = TimeSpan.Zero,
        },
    };

    private static SiteHours Hours(string from, string to) =>
        new() { From = Time(from), To = Time(to), TimeZone = Central };

    private static TimeOnly Time(string time) => TimeOnly.Parse(time, CultureInfo.InvariantCulture);

    private static DateTimeOffset Utc(string moment) => 
        DateTimeOffset.Parse(moment + "Z", CultureInfo.InvariantCulture);

    [TestCase("08:00", "17:00", "2026-01-15T06:59", false)]
    [TestCase("08:00", "17:00", "2026-01-15T07:00", true)]
    [TestCase("08:00", "17:00", "2026-01-15T15:59", true)]
    [TestCase("08:00", "17:00", "2026-01-15T16:00", false)]
    [TestCase("08:00", "17:00", "2026-07-15T06:00", true)]
    [TestCase("20:00", "06:00", "2026-01-15T18:59", false)]
    [TestCase("20:00", "06:00", "2026-01-15T19:00", true)]
    [TestCase("20:00", "06:00", "2026-01-15T23:30", true)]
    [TestCase("20:00", "06:00", "2026-01-16T04:59", true)]
    [TestCase("20:00", "06:00", "2026-01-16T05:00", false)]
    [TestCase("00:00", "06:00", "2026-01-15T23:00", true)]
    public void They_hold_by_the_wall_and_over_midnight(string from, string to, string moment, bool isOpen) =>
        Assert.That(Hours(from, to).Contain(Utc(moment)), Is.EqualTo(isOpen));

    [TestCase("08:00", "17:00", "2026-01-15T07:00", "2026-01-15T16:00", TestName = "a day's end")]
    [TestCase("08:00", "17:00", "2026-01-15T16:00", "2026-01-16T07:00", TestName = "the next day")]
    [TestCase("20:00", "06:00", "2026-01-15T22:00", "2026-01-16T05:00", TestName = "over midnight")]
    [TestCase("22:00", "06:00", "2026-03-28T21:00", "2026-03-29T04:00", TestName = "a night that is an hour shorter")]
    [TestCase("22:00", "06:00", "2026-10-24T20:00", "2026-10-25T05:00", TestName = "a night that is an hour longer")]
    [TestCase("02:30", "06:00", "2026-03-29T00:00", "2026-03-29T01:00", TestName = "a time that is left out")]
    [TestCase("22:00", "02:30", "2026-03-28T22:00", "2026-03-29T01:00", TestName = "an end that is left out")]
    [TestCase("02:30", "02:45", "2026-10-25T00:30", "2026-10-25T00:45", TestName = "a window that comes twice")]
    [TestCase("02:30", "02:45", "2026-10-25T00:45", "2026-10-25T01:30", TestName = "and its second time")]
    public void They_change_when_the_wall_says_so(string from, string to, string after, string next)
    {
        var hours = Hours(from, to);
        Assert.That(hours.NextChange(Utc(after)), Is.EqualTo(Utc(next)));
        Assert.That(hours.Contain(Utc(next)), Is.Not.EqualTo(hours.Contain(Utc(next).AddTicks(-1))));
    }

    [TestCase("08:00", "08:00")]
    [TestCase("08:00", "08:04")]
    [TestCase("08:00", "07:58")]
    public async Task Hours_that_cannot_be_meant_are_refused(string from, string to)
    {
        await using var site = FederationSite.Connect(SocketTransport.PlainTcp("127.0.0.1", 1), "a");
        var e = Assert.Throws<FlareException>(() => site.SetHours(Hours(from, to)));
        Assert.That((e!.ErrorId, e.Message.Contains("at least 5 minutes")), Is.EqualTo((ErrorIds.Configuration, true)));
    }

    [Test]
    public async Task A_site_begins_tasks_within_its_hours_only()
    {
        var time = new SteppedTime(Utc("2026-01-15T12:00"));
        var rounds = new List<int>();
        var (reached, gate) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training(2))
            .UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a",
            limits: Patient, time: time);
        site.SetHours(Hours("20:00", "06:00"));
        await using var sitePlan = new SiteBuilder("a")
            .UseExecutor(() => new Scripted(async (_, input, context, abort) =>
        {
            lock (rounds) rounds.Add(context.Round);
            reached.TrySetResult();
            await gate.Task.WaitAsync(abort); // its hours end while it runs
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        })).Build();
        _ = site.Join(sitePlan);
        var standing = await OperatingTests.StandingAsync(job, "a", s => s.Pause is not null);
        Assert.That(standing.Pause, Is.EqualTo(
            "outside its hours, 20:00 to 06:00 (Central); again from 2026-01-15 20:00 +01:00"));
        time.Set(Utc("2026-01-15T18:59"));
        Assert.That(rounds, Is.Empty);
        time.Set(Utc("2026-01-15T19:00"));
        await reached.Task.WaitAsync(Patience.Long);
        time.Set(Utc("2026-01-16T05:00"));
        standing = await OperatingTests.StandingAsync(job, "a", s =>
        {
            time.Set(time.GetUtcNow().AddSeconds(10)); // the timer of its hours may be set only now
            return s.Pause?.Contains("2026-01-16") == true;
        });
        Assert.That(standing.Pause, Does.EndWith("again from 2026-01-16 20:00 +01:00"));
        gate.SetResult();
        await using var reports = job.ReadRoundsAsync().GetAsyncEnumerator();
        Assert.That(await reports.MoveNextAsync().AsTask().WaitAsync(Patience.Long));
        lock (rounds) Assert.That(rounds, Is.EqualTo(new[] { 1 }));
        site.SetHours(null);
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values()[0], Is.EqualTo(2));
    }

    [Test]
    public async Task Other_hours_that_are_closed_too_let_no_task_begin()
    {
        var time = new SteppedTime(Utc("2026-01-15T12:00"));
        var begun = 0;
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training())
            .UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a",
            limits: Patient, time: time);
        site.SetHours(Hours("20:00", "06:00"));
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => new Scripted((_, input, _, _) =>
        {
            Interlocked.Increment(ref begun);
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        })).Build();
        _ = site.Join(sitePlan);
        for (var minute = 1; minute <= 20; minute++) // by one of which its task has come
        {
            var from = $"20:{minute:00}";
            site.SetHours(Hours(from, "06:00"));
            await OperatingTests.StandingAsync(job, "a", s => s.Pause?.Contains($"{from} to 06:00") == true);
        }
        await site.PauseAsync().WaitAsync(Patience.Long);
        Assert.That(begun, Is.Zero);
        site.Resume();
        Assert.That((await job.GetSitesAsync()).Single().Pause, Does.Contain("20:20 to 06:00"));
        site.SetHours(Hours("08:00", "17:00"));
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That((begun, job.Model.Values()[0]), Is.EqualTo((1, 1f)));
    }

    [Test]
    public async Task A_task_that_must_stop_with_the_hours_begins_anew_in_the_next()
    {
        var time = new SteppedTime(Utc("2026-01-15T20:00"));
        var (starts, started) = (0, new TaskCompletionSource());
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0));
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training())
            .UseInitialModel(Sites.Model(0)).Build();
        var job = server.Run(plan);
        await using var site = FederationSite.Connect(
            SocketTransport.PlainTcp("127.0.0.1", FederationOverSocketsTests.PortOf(server)), "a",
            limits: Patient, time: time);
        site.SetHours(Hours("20:00", "06:00") with { StopsRunningTasks = true });
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => new Scripted(async (_, input, _, abort) =>
        {
            started.TrySetResult();
            if (++starts == 1) await Task.Delay(Timeout.Infinite, abort);
            return Sites.Diff(Dxo.From(input).Tensors, starts);
        })).Build();
        _ = site.Join(sitePlan);
        await started.Task.WaitAsync(Patience.Long);
        time.Set(Utc("2026-01-16T05:00"));
        await OperatingTests.StandingAsync(job, "a", s => s.Pause is not null);
        time.Set(Utc("2026-01-16T19:00"));
        await job.Ended.WaitAsync(Patience.Long);
        Assert.That(job.Model.Values()[0], Is.EqualTo(2));
    }
}
