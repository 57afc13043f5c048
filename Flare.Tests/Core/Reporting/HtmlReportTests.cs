using System.Xml.Linq;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Core;

/// <summary>A run's page says what the reports say, and nothing of it is a stranger's markup.</summary>
public class HtmlReportTests
{
    private static SiteOutcome Outcome(int site, string task, SiteStatus status) => new() { Site = $"site-{site}", Task = task, Status = status, NumSteps = task == TaskNames.Train ? 10 * site : null, Reason = status == SiteStatus.Accepted ? null : "unwell" };

    /// <summary>A round of two sites that trained; neither could measure.</summary>
    private static RoundReport Round(int number, SiteStatus second = SiteStatus.Accepted) => new()
    {
        Number = number,
        Targets = 2,
        Accepted = second == SiteStatus.Accepted ? 2 : 1,
        Metrics = new Dictionary<string, double>(),
        Elapsed = TimeSpan.FromSeconds(number),
        Sites = [Outcome(1, TaskNames.Train, SiteStatus.Accepted), Outcome(2, TaskNames.Train, second), Outcome(1, TaskNames.Validate, SiteStatus.Failed), Outcome(2, TaskNames.Validate, SiteStatus.Failed)],
    };

    /// <summary>What a federation keeps of an old report.</summary>
    private static RoundReport Thinned(RoundReport report) => report with { Sites = [.. report.Sites.Where(s => s.Status != SiteStatus.Accepted)] };

    private static XElement Page(params RoundReport[] rounds)
    {
        var html = new HtmlReport("a run", rounds).ToHtml();
        return XElement.Parse(html[html.IndexOf("<body>", StringComparison.Ordinal)..html.IndexOf("</html>", StringComparison.Ordinal)]);
    }

    private static XElement[] Grid(XElement page) => [.. page.Elements("table").Single(t => (string?)t.Attribute("class") == "grid").Elements("tr")];

    private static IEnumerable<string?> Cells(XElement row) => row.Elements("td").Select(d => (string?)d.Attribute("class"));

    [Test]
    public void Each_site_has_a_row_of_the_rounds_main_task()
    {
        var grid = Grid(Page(Round(1), Round(2, SiteStatus.Rejected)));
        Assert.That(grid.Select(r => r.Element("th")!.Value), Is.EqualTo(new[] { "site-1", "site-2" }));
        Assert.That(grid.Select(Cells), Is.EqualTo(new[] { ["ok", "ok", "sum"], new[] { "ok", "bad", "sum" } }));
        Assert.That(grid.Select(r => r.Elements("td").Last().Value), Is.EqualTo(new[] { "20 steps", "20 steps" }));
    }

    [TestCase(SiteStatus.Accepted), TestCase(SiteStatus.Rejected)]
    public void Reports_that_were_thinned_out_are_counted_and_not_drawn_as_something_else(SiteStatus second)
    {
        var page = Page(Thinned(Round(1, second)), Thinned(Round(2, second)), Round(3), Round(4));
        var grid = Grid(page);
        Assert.That(grid.Select(Cells), Is.All.EqualTo(new[] { "ok", "ok", "sum" }));
        Assert.That(grid.SelectMany(r => r.Descendants().Attributes("title")).Select(t => t.Value), Has.Some.StartsWith("round 3: ").And.None.StartsWith("round 1: "));
        Assert.That(page.Elements("p").Select(p => p.Value), Has.Some.Contains("2 of 4 rounds: reports of the others keep only what went wrong."));
        Assert.That(Line(page, "used"), Is.EqualTo(second == SiteStatus.Accepted ? new[] { "2", "2", "2", "2" } : ["1", "1", "2", "2"]));
        Assert.That(Line(page, "asked for"), Is.EqualTo(new[] { "2", "2", "2", "2" }));
    }

    private static IEnumerable<string> Line(XElement page, string label) =>
        page.Descendants("figure").Single(f => f.Element("figcaption")!.Value == "contributions by round").Descendants("title").Select(t => t.Value).Where(t => t.StartsWith(label + ",", StringComparison.Ordinal)).Select(t => t.Split(": ")[1]);

    [Test]
    public void A_run_without_rounds_has_a_page_too() => Assert.That(Grid(Page()), Is.Empty);

    [Test]
    public async Task Nothing_that_sites_say_is_markup()
    {
        const string script = "<script>alert('\"&')</script>";
        var workflow = new FedAvg { Rounds = 1, Selection = null };
        await using var federation = Federation.InProcess(f => f
            .AddSite("good" + script, _ => new Scripted((task, input, _, _) => ValueTask.FromResult(task == TaskNames.Train
                ? Sites.Diff(Dxo.From(input).Tensors, 1)
                : Dxo.Metrics(("score" + script, 1)).ToShareable())))
            .AddSite("bad" + script, _ => Sites.Throwing("a message with " + script))
            .UseController(workflow));
        var rounds = await federation.RunToEndAsync(Sites.Model(1));
        var html = new HtmlReport("a title with " + script, rounds).AddFact("fact" + script, "value" + script).AddReference("score" + script, "label" + script, [1]).ToHtml();
        Assert.That(html, Does.Not.Contain("<script").And.Not.Contain("'\"&'"));
        var page = Page([.. rounds]);
        Assert.That(page.Descendants("td").Select(d => d.Value), Has.Some.EqualTo("bad" + script).And.Some.Contains("a message with " + script));
        Assert.That(page.Descendants("th").Select(d => d.Value), Has.Some.EqualTo("good" + script));
        Assert.That(page.Descendants("pre").First().Value, Does.Contain("a message with " + script));
        Assert.That(page.Descendants("figcaption").Select(f => f.Value), Has.Some.EqualTo($"score{script} by round"));
    }
}
