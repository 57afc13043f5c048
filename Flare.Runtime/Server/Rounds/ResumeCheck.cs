namespace Flare.Runtime;

/// <summary>Compares what a journal holds with what a start asks for.</summary>
internal static class ResumeCheck
{
    /// <summary>Compares what the journal holds with what this start asks for, before anything of it becomes
    /// final.</summary>
    /// <exception cref="FlareException">The journal has more rounds than were asked for.</exception>
    public static void Run(JobLife life, JournalRecovery recovered)
    {
        var options = life.Options;
        var last = recovered.LastRound ?? 0;
        var rounds = recovered.Reports.GroupBy(r => r.Workflow).ToDictionary(g => g.Key, g => g.Max(r => r.Round));
        var asked = options.Controllers;
        if (!recovered.IsCompleted) RequireRoundsToCome(options, recovered);
        for (var i = 0; i < asked.Count && (recovered.IsCompleted || i < recovered.Workflow); i++)
        {
            var has = rounds.GetValueOrDefault(i);
            if (asked[i].PlannedRounds > has)
                Log.ResumeWarning(
                    life.Logger,
                    $"{Readable.Count(asked[i].PlannedRounds ?? 0, "round")} of {asked[i].Name} were asked for, and "
                        + $"nothing of them will be trained: in its journal, job {options.JobId} has completed that "
                        + $"workflow with {Readable.Count(has, "round")}. What is complete stays so; for more rounds "
                        + "begin another job with this one's model, in an empty folder.");
        }
        if (recovered.IsCompleted)
            Log.JobIsComplete(
                life.Logger, options.JobId, recovered.Reports.Count, Readable.Noun(recovered.Reports.Count, "round"));
        else if (recovered.Workflow < asked.Count)
            Log.JobResumes(
                life.Logger, options.JobId, last, asked[recovered.Workflow].Name, recovered.Workflow + 1, asked.Count);
    }

    private static void RequireRoundsToCome(JobServerOptions options, JournalRecovery recovered)
    {
        var asked = options.Controllers;
        var last = recovered.LastRound ?? 0;
        const string advice = "Nothing was changed: start it again as it was begun; to end it where it is, ask for " +
            "just as much as it has";
        if (recovered.Workflow < asked.Count && asked[recovered.Workflow].PlannedRounds < last)
            throw new FlareException(
                ErrorIds.Journal,
                $"The journal of job {options.JobId} has {Readable.Count(last, "round")} of "
                    + $"{asked[recovered.Workflow].Name}, and this start asks for "
                    + $"{asked[recovered.Workflow].PlannedRounds}: the job would be complete at once, for good. "
                    + $"{advice} ({Readable.Count(last, "round")}).");
        if (recovered.Workflow >= asked.Count && (recovered.LastRound is not null || recovered.HasOtherWorkflows))
            throw new FlareException(ErrorIds.Journal, $"The journal of job {options.JobId} "
                + $"stands at workflow {recovered.Workflow + 1}, and this start has "
                + $"{asked.Count}: the job would be complete at once, for good. {advice}.");
    }
}
