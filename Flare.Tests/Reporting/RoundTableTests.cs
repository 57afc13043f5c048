using System.Globalization;
using Flare.Reporting;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Reporting;

/// <summary>A table of rounds in the terminal.</summary>
public class RoundTableTests
{
    private static RoundReport Report(int number, params (string, double)[] metrics) => new()
    {
        Number = number, Targets = 8, Accepted = 8, Elapsed = TimeSpan.FromSeconds(0.5), Sites = [],
        Metrics = metrics.ToDictionary(m => m.Item1, m => m.Item2),
    };

    private static string[] Written(Action<RoundTable> write)
    {
        var output = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        write(new RoundTable(output));
        return output.ToString().ReplaceLineEndings("\n").Split('\n')[..^1];
    }

    [Test]
    public void Without_columns_of_ones_own_it_shows_the_first_rounds_metrics()
    {
        var lines = Written(table =>
        {
            table.Add(Report(1, ("loss", 0.25), ("accuracy", 0.75), ("encryption.seconds", 3)));
            table.Add(Report(12, ("loss", 0.125)) with { IsBest = true, Accepted = 7 });
        });
        Assert.That(lines, Is.EqualTo(new[]
        {
            "round   sites   accuracy       loss   seconds",
            "    1     8/8       0.75       0.25      0.50",
            "   12     7/8          –      0.125      0.50  *",
        }));
    }

    [Test]
    public void Columns_of_ones_own_take_their_place()
    {
        var lines = Written(
            table => table.AddColumn("a long heading", r => $"<{r.Number}>").AddMetric("loss", "F2")
            .Add(Report(3, ("loss", 1), ("accuracy", 1))));
        Assert.That(lines, Is.EqualTo(new[]
        {
            "round   sites   a long heading       loss   seconds",
            "    3     8/8              <3>       1.00      0.50",
        }));
    }

    [Test]
    public void Columns_come_before_rows()
    {
        var table = new RoundTable(TextWriter.Null);
        table.Add(Report(1));
        Assert.That(
            () => table.AddMetric("loss"),
            Throws.InvalidOperationException.With.Message.Contains("before the first round"));
    }

    [Test]
    public void Whose_answer_was_not_used_is_said_and_moves_no_cursor()
    {
        SiteOutcome[] sites =
        [
            .. Enumerable.Range(1, 1005).Select(n => new SiteOutcome
            {
                Site = $"site-{n}", Task = "train", Status = n == 1 ? SiteStatus.Accepted
                    : SiteStatus.Failed, Reason = "line\n\u001b[2Jline",
            }),
        ];
        var lines = Written(table => table.Add(Report(1) with { Sites = sites }));
        Assert.That(lines[2..], Is.EqualTo(new[]
        {
            "        site-2: Failed: line \uFFFD[2Jline (task 'train')",
            "        site-3: Failed: line \uFFFD[2Jline (task 'train')",
            "        site-4: Failed: line \uFFFD[2Jline (task 'train')",
            "        … and 1,001 more answers",
        }));
    }

    [Test]
    public async Task Progress_counts_the_sites_that_were_asked_and_gives_way_to_rows()
    {
        var output = new StringWriter(CultureInfo.InvariantCulture);
        var table = new RoundTable(output, live: true);
        await Sites.RunAsync(
            new FedAvg { Rounds = 2, MinSites = 2 }, Sites.Model(1), f => f.AddServerComponent(table.Progress),
            Sites.Adding(1), Sites.Adding(1));
        Assert.That(
            output.ToString(),
            Does.Contain($"{new string('█', 12)}{new string('·', 12)} 1/2").And.Contain($"{new string('█', 24)} 2/2"));
        Assert.That(table.Progress.RoundsStarted, Is.EqualTo(2));
        var before = output.ToString().Length;
        table.Add(Report(2));
        Assert.That(
            output.ToString()[before..], Does.Match("^\r {30,}\rround"), "the line is erased before a row is written");
        before = output.ToString().Length;
        table.Progress.Clear();
        Assert.That(output.ToString(), Has.Length.EqualTo(before), "nothing is left to erase");
    }

    [Test]
    public async Task Where_nobody_looks_progress_only_counts()
    {
        var output = new StringWriter(CultureInfo.InvariantCulture);
        var progress = new ProgressLine(output, live: false);
        await Sites.RunAsync(
            new FedAvg { Rounds = 1 }, Sites.Model(1), f => f.AddServerComponent(progress), Sites.Adding(1));
        Assert.That((output.ToString(), progress.RoundsStarted), Is.EqualTo(("", 1)));
    }
}
