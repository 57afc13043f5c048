using System.Globalization;
using System.Text;

namespace Flare.Testing;

/// <summary>What came of a <see cref="Simulation"/>.</summary>
public sealed record SimulationResult
{
    /// <summary>The run's seed.</summary>
    public required ulong Seed { get; init; }

    /// <summary>What went wrong that must not; empty where all is well.</summary>
    public required IReadOnlyList<string> Failures { get; init; }

    /// <summary>Equal for equal runs: run a seed twice and compare.</summary>
    public required ulong TraceHash { get; init; }

    /// <summary>All rounds announced, in order.</summary>
    public required IReadOnlyList<RoundReport> Rounds { get; init; }

    /// <summary>The first global model.</summary>
    public required StateDict InitialModel { get; init; }

    /// <summary>The last global model that a server had.</summary>
    public required StateDict Model { get; init; }

    /// <summary>What happened to the run.</summary>
    public required SimulationStatistics Statistics { get; init; }

    /// <summary>The trace as text, if it was kept.</summary>
    public required IReadOnlyList<string> Log { get; init; }

    /// <summary>How to run it again.</summary>
    public required string Reproduction { get; init; }

    /// <summary>Whether nothing went wrong.</summary>
    public bool IsSuccess => Failures.Count == 0;

    /// <summary>The seed, what went wrong, how to repeat it, and the end of the trace.</summary>
    public override string ToString()
    {
        if (IsSuccess)
            return string.Create(
                CultureInfo.InvariantCulture, $"seed {Seed}: {Rounds.Count} rounds, trace {TraceHash:x16}");
        var text = new StringBuilder().AppendLine(
            CultureInfo.InvariantCulture, $"Seed {Seed} failed; to repeat it: {Reproduction}");
        foreach (var failure in Failures.Take(10)) text.AppendLine(CultureInfo.InvariantCulture, $"  - {failure}");
        foreach (var line in Log.TakeLast(60)) text.AppendLine(line);
        return text.ToString();
    }
}

/// <summary>What happened to a run.</summary>
/// <param name="VirtualTime">How long it took in its own time.</param>
/// <param name="Steps">Continuations and timers that ran.</param>
/// <param name="ServerCrashes">Crashes of the server.</param>
/// <param name="SiteCrashes">Crashes of sites.</param>
/// <param name="Partitions">Partitions.</param>
/// <param name="JobRestarts">Times that the job failed and was started again.</param>
/// <param name="Aborts">Aborts of the job by its operator.</param>
/// <param name="TornWrites">Writes that a crash met on their way.</param>
/// <param name="Messages">Messages sent.</param>
/// <param name="Dropped">Messages that did not arrive.</param>
/// <param name="Duplicated">Messages that arrived twice.</param>
/// <param name="MostUploads">The most large results that the server held at once.</param>
public sealed record SimulationStatistics(
    TimeSpan VirtualTime, long Steps, int ServerCrashes, int SiteCrashes, int Partitions, int JobRestarts, int Aborts,
    long TornWrites, long Messages, long Dropped, long Duplicated, int MostUploads);
