using Flare.Tests.Federations;

namespace Flare.Tests.Docs;

/// <summary>The code of docs/journal.md.</summary>
public class JournalPageTests
{
    [Test]
    public async Task A_host_finds_out_what_is_unfinished()
    {
        var output = new StringWriter();
        var folder = Directory.CreateTempSubdirectory("flare-page-").FullName;
        var jobs = Path.Combine(folder, "jobs", "digits");
        try
        {
            await using (var federation = Federation.InProcess(f => f
                .AddSites(1, _ => Sites.Adding(1)).UseController(Sites.Training(rounds: 5))
                .UseJobId("digits").UseJournal(jobs)))
                await foreach (var round in federation.RunAsync(Sites.Model(0)))
                    if (round.Number == 2) break;
            await LookAsync(jobs, output);
            Assert.That(output.ToString(),
                Does.StartWith("digits is unfinished: 2 rounds, the last round 2: 1 of 1 site,"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task LookAsync(string folder, StringWriter Console)
    {
        if (await JournalInfo.ReadAsync(folder) is { IsComplete: false } job)
            Console.WriteLine($"{job.JobId} is unfinished: {job.Rounds.Count} rounds, the last {job.LastReport}");
    }
}
