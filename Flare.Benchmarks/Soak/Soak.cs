using System.Diagnostics;
using System.Globalization;
using Flare.Testing;
using Flare.Tests.Rig.Workloads;

namespace Flare.Benchmarks.Soak;

/// <summary>Runs the deterministic rig over many seeds, each twice, and says what it found.</summary>
public static class Soak
{
    /// <summary>Runs the soak.</summary>
    /// <param name="args"><c>[--seeds N] [--first N] [--workload NAME,PREFIX*] [--once]</c>; all workloads in turn
    /// unless some are named, each seed twice unless once.</param>
    /// <returns>0 if nothing failed and every run replayed, else 1.</returns>
    public static int Run(string[] args)
    {
        var seeds = long.Parse(Option("--seeds") ?? "500", CultureInfo.InvariantCulture);
        var first = ulong.Parse(Option("--first") ?? "1", CultureInfo.InvariantCulture);
        var workloads = Option("--workload") is { } names ? Workload.Matching(names) : Workload.All;
        var isSingle = seeds == 1;
        var unobserved = 0;
        TaskScheduler.UnobservedTaskException += (_, e) =>
        {
            Interlocked.Increment(ref unobserved);
            Console.WriteLine($"a task failed and nobody looked: {e.Exception}");
        };

        var totals = new Totals();
        var watch = Stopwatch.StartNew();
        Parallel.For(0, seeds, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            var seed = first + (ulong)i;
            var workload = workloads[(int)(seed % (ulong)workloads.Count)];
            var run = workload.Run(seed, keepLog: isSingle);
            var isReplayed = args.Contains("--once") || workload.Run(seed).TraceHash == run.TraceHash;
            totals.Add(run, args.Contains("--once") ? 1 : 2, isReplayed);
            if (!isReplayed) Console.WriteLine($"seed {seed} ({workload.Name}) did not replay");
            if (!run.IsSuccess || isSingle) Console.WriteLine(run);
            if (isSingle)
                foreach (var line in run.Log) Console.WriteLine(line);
        });
        watch.Stop();
        GC.Collect();
        GC.WaitForPendingFinalizers();

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            {seeds} seeds from {first} over {workloads.Count} workloads: {totals.Failed} failures, {totals.Mismatches} replay mismatches, {unobserved} unobserved exceptions
            {totals.Runs / watch.Elapsed.TotalSeconds:F0} runs a second; virtual time {totals.VirtualTime.TotalHours:F1} h in {watch.Elapsed.TotalSeconds:F1} s; {totals.Steps:N0} steps
            {totals.Rounds:N0} rounds, {totals.ServerCrashes:N0} server crashes, {totals.SiteCrashes:N0} site crashes, {totals.Partitions:N0} partitions, {totals.JobRestarts:N0} jobs restarted, {totals.Aborts:N0} aborted, {totals.TornWrites:N0} torn writes
            {totals.Messages:N0} messages, {totals.Dropped:N0} dropped, {totals.Duplicated:N0} duplicated
            """));
        return totals.Failed + totals.Mismatches + unobserved == 0 ? 0 : 1;

        string? Option(string name)
        {
            var index = Array.IndexOf(args, name);
            return index >= 0 && index + 1 < args.Length ? args[index + 1] : null;
        }
    }

    private sealed class Totals
    {
        private readonly Lock _gate = new();

        public int Failed, Mismatches, Runs, ServerCrashes, SiteCrashes, Partitions, JobRestarts, Aborts;
        public long Rounds, Steps, TornWrites, Messages, Dropped, Duplicated;
        public TimeSpan VirtualTime;

        public void Add(SimulationResult run, int times, bool isReplayed)
        {
            lock (_gate)
            {
                var s = run.Statistics;
                Runs += times;
                Failed += run.IsSuccess ? 0 : 1;
                Mismatches += isReplayed ? 0 : 1;
                Rounds += run.Rounds.Count;
                Steps += s.Steps;
                VirtualTime += s.VirtualTime;
                ServerCrashes += s.ServerCrashes;
                SiteCrashes += s.SiteCrashes;
                Partitions += s.Partitions;
                JobRestarts += s.JobRestarts;
                Aborts += s.Aborts;
                TornWrites += s.TornWrites;
                Messages += s.Messages;
                Dropped += s.Dropped;
                Duplicated += s.Duplicated;
            }
        }
    }
}
