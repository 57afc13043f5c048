using System.Diagnostics;
using System.Globalization;
using Flare.Benchmarks.Rounds;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>transport soak [--time 20m] [--every 10s]</c>: a federation of 8 sites over TLS runs rounds of 200 KB without
/// end, and beside it one of 4 sites comes, runs and goes, again and again. Managed memory, handles and sockets are
/// told, and what they grew by in an hour, by the middle slope of all pairs of samples after the first fifth.
/// </summary>
internal static class TransportSoak
{
    private readonly record struct Sample(double Hours, double Megabytes, double Handles, double Sockets);

    public static async Task<int> RunAsync(Options options)
    {
        var time = options.Time("--time", TimeSpan.FromMinutes(20));
        var every = options.Time("--every", TimeSpan.FromSeconds(10));
        using var stop = new CancellationTokenSource(time);
        var (rounds, comings) = (0L, 0L);
        var model = NoOpFederation.Model(50_000);
        var staying = Task.Run(async () =>
        {
            await using var federation = NoOpFederation.Create(
                8, int.MaxValue, model, f => f.UseTransport(Loopback.Tls));
            try
            {
                await foreach (var _ in federation.RunAsync(model, stop.Token))
                {
                    rounds++;
                    await Task.Delay(5); // the machine is others', too
                }
            }
            catch (OperationCanceledException)
            {
                // The time is over.
            }
        });
        var coming = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                await using var federation = NoOpFederation.Create(4, 3, model, f => f.UseTransport(Loopback.Tls));
                await federation.RunToEndAsync(model);
                comings++;
                await Task.Delay(500);
            }
        });
        var samples = new List<Sample>();
        var clock = Stopwatch.StartNew();
        var tell = TimeSpan.Zero;
        while (!stop.IsCancellationRequested)
        {
            await Task.WhenAny(Task.Delay(every), staying);
            if (staying.IsFaulted || coming.IsFaulted) break;
            samples.Add(Now(clock.Elapsed));
            if (clock.Elapsed < tell) continue;
            tell += TimeSpan.FromMinutes(1);
            Tell(clock.Elapsed, samples[^1], rounds, comings);
        }
        await Task.WhenAll(staying, coming);
        Sample[] steady = [.. samples.Skip(samples.Count / 5)];
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"start {steady[0].Megabytes:F1} MB, {steady[0].Handles} handles, {steady[0].Sockets} sockets; "
            + $"end {steady[^1].Megabytes:F1} MB, {steady[^1].Handles} handles, {steady[^1].Sockets} sockets; growth "
            + $"an hour {Slope(steady, s => s.Megabytes):F2} MB, {Slope(steady, s => s.Handles):F1} handles, "
            + $"{Slope(steady, s => s.Sockets):F1} sockets; {rounds} rounds, {comings} federations came and went"));
        return 0;
    }

    private static Sample Now(TimeSpan elapsed) => new(
        elapsed.TotalHours, GC.GetTotalMemory(forceFullCollection: true) / 1e6, Handles(),
        OperatingSystem.IsLinux() ? Sockets() : double.NaN);

    private static double Handles()
    {
        using var process = Process.GetCurrentProcess();
        return process.HandleCount;
    }

    private static int Sockets() => Directory.EnumerateFiles("/proc/self/fd")
        .Count(f => new FileInfo(f).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);

    private static void Tell(TimeSpan elapsed, Sample sample, long rounds, long comings) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{elapsed.TotalMinutes,6:F1} min: {sample.Megabytes:F1} MB managed, {sample.Handles} handles, "
            + $"{sample.Sockets} sockets; {rounds} rounds, {comings} federations came and went"));

    // By the median of the slopes of all pairs (Theil 1950, Sen 1968): a moment's peak does not tilt it.
    private static double Slope(Sample[] samples, Func<Sample, double> value)
    {
        var slopes = new List<double>();
        for (var i = 0; i < samples.Length; i++)
            for (var j = i + 1; j < samples.Length; j++)
                slopes.Add((value(samples[j]) - value(samples[i])) / (samples[j].Hours - samples[i].Hours));
        slopes.Sort();
        return slopes.Count == 0 ? 0 : slopes[slopes.Count / 2];
    }
}
