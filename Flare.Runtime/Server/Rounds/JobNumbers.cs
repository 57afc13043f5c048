using System.Globalization;

namespace Flare.Runtime;

/// <summary>What a run's rounds add up to, for its last line in the log.</summary>
internal sealed class JobNumbers
{
    private readonly SortedDictionary<SiteStatus, long> _outcomes = [];
    private int _rounds;

    /// <summary>A round was committed.</summary>
    public void Count(RoundReport report)
    {
        _rounds++;
        foreach (var site in report.Sites) _outcomes[site.Status] = _outcomes.GetValueOrDefault(site.Status) + 1;
    }

    /// <summary>The job has ended.</summary>
    public void LogEnd(JobLife life, Exception? failure, TimeSpan elapsed)
    {
        var (logger, job) = (life.Logger, life.Options.JobId);
        var outcomes = string.Join(
            ", ", _outcomes.Select(o => $"{o.Value.ToString(CultureInfo.InvariantCulture)} {o.Key}"));
        var rounds = Readable.Count(_rounds, "round");
        var time = string.Create(
            CultureInfo.InvariantCulture, $"{rounds} committed in {elapsed.TotalSeconds:F1} s");
        var numbers = $"{time}, {(outcomes.Length > 0 ? $"contributions: {outcomes}" : "no contributions")}";
        if (failure is null) Log.JobDone(logger, job, numbers);
        else if (failure is OperationCanceledException) Log.JobAborted(logger, job, numbers);
        else Log.JobFailed(logger, job, numbers, failure.Message);
    }
}
