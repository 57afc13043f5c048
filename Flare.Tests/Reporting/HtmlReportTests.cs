using System.Globalization;
using System.Text;
using System.Xml.Linq;
using Flare.Reporting;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Reporting;

/// <summary>A run's page says what the reports say, and nothing of it is a stranger's markup.</summary>
public class HtmlReportTests
{
    private static SiteOutcome Outcome(int site, string task, SiteStatus status) =>
        new() { Site = $"site-{site}", Task = task, Status = status, NumSteps = task == TaskNames.Train ? 10 * site
            : null, Reason = status == SiteStatus.Accepted ? null : "unwell" };

    /// <summary>A round of two sites that trained; neither could measure.</summary>
    private static RoundReport Round(int number, SiteStatus second = SiteStatus.Accepted) => new()
    {
        Number = number,
        Targets = 2,
        Accepted = second == SiteStatus.Accepted ? 2 : 1,
        Metrics = new Dictionary<string, double>(),
        Elapsed = TimeSpan.FromSeconds(number),
        Sites =
        [Outcome(1, TaskNames.Train, SiteStatus.Accepted), Outcome(2, TaskNames.Train, second),
            Outcome(1, TaskNames.Validate, SiteStatus.Failed), Outcome(2, TaskNames.Validate, SiteStatus.Failed)],
    };

    /// <summary>What a federation keeps of an old report.</summary>
    private static RoundReport Thinned(RoundReport report) =>
        report with { Sites = [.. report.Sites.Where(s => s.Status != SiteStatus.Accepted)] };

    private static XElement Page(params RoundReport[] rounds)
    {
        var html = new HtmlReport("a run", rounds).ToHtml();
        return XElement.Parse(
            html[html.IndexOf("<body>", StringComparison.Ordinal)..html.IndexOf("</html>", StringComparison.Ordinal)]);
    }

    private static XElement[] Grid(XElement page) =>
        [.. page.Elements("table").Single(t => (string?)t.Attribute("class") == "grid").Elements("tr")];

    private static IEnumerable<string?> Cells(XElement row) =>
        row.Element("td")!.Elements("span").Select(d => (string?)d.Attribute("class"));

    [Test]
    public void Each_site_has_a_row_of_the_rounds_main_task()
    {
        var grid = Grid(Page(Round(1), Round(2, SiteStatus.Rejected)));
        Assert.That(grid.Select(r => r.Element("th")!.Value), Is.EqualTo(new[] { "site-1", "site-2" }));
        Assert.That(grid.Select(Cells), Is.EqualTo(new[] { ["ok", "ok"], new[] { "ok", "bad" } }));
        Assert.That(grid.Select(r => r.Elements("td").Last().Value), Is.EqualTo(new[] { "20 steps", "20 steps" }));
    }

    [TestCase(SiteStatus.Accepted), TestCase(SiteStatus.Rejected)]
    public void Reports_that_were_thinned_out_are_counted_and_not_drawn_as_something_else(SiteStatus second)
    {
        var page = Page(Thinned(Round(1, second)), Thinned(Round(2, second)), Round(3), Round(4));
        var grid = Grid(page);
        Assert.That(grid.Select(Cells), Is.All.EqualTo(new[] { "ok", "ok" }));
        Assert.That(
            grid.SelectMany(r => r.Descendants().Attributes("title"))
            .Select(t => t.Value), Has.Some.StartsWith("round 3: ").And.None.StartsWith("round 1: "));
        Assert.That(
            page.Elements("p").Select(p => p.Value),
            Has.Some.Contains("2 of 4 rounds: reports of the others keep only what went wrong."));
        Assert.That(
            Line(page, "used"),
            Is.EqualTo(second == SiteStatus.Accepted ? new[] { "2", "2", "2", "2" } : ["1", "1", "2", "2"]));
        Assert.That(Line(page, "asked for"), Is.EqualTo(new[] { "2", "2", "2", "2" }));
    }

    private static IEnumerable<string> Line(XElement page, string label) =>
        page.Descendants("figure").Single(f => f.Element("figcaption")!.Value == "contributions by round")
        .Descendants("title").Select(t => t.Value).Where(t => t.StartsWith(label + ",", StringComparison.Ordinal))
        .Select(t => t.Split(": ")[1]);

    [Test]
    public void A_run_without_rounds_has_a_page_too() => Assert.That(Grid(Page()), Is.Empty);

    private static string[] Ticks(XElement page, string figure, string axis) =>
        [.. page.Descendants("figure").Single(f => f.Element("figcaption")!.Value == figure).Descendants("text")
            .Where(t => (string?)t.Attribute("class") == axis).Select(t => t.Value)];

    [Test]
    public void Axes_have_round_numbers_and_counts_whole_ones_from_zero()
    {
        RoundReport[] rounds =
            [.. Enumerable.Range(1, 24)
                .Select(
                    n => Round(
                        n) with {
                        Metrics = new Dictionary<string,
                            double> { ["accuracy"] = 0.717 + 0.01 * n, ["huge"] = n == 1 ? double.MaxValue
                                : 7e9 * n, ["even"] = 0.3 } })];
        var page = Page(rounds);
        Assert.That(Ticks(page, "accuracy by round", "y"), Is.EqualTo(new[] { "0.7", "0.8", "0.9", "1.0" }));
        Assert.That(Ticks(page, "even by round", "y"), Has.Length.InRange(3, 6).And.Some.EqualTo("0.3"));
        Assert.That(
            Ticks(page, "huge by round", "y"), Is.EqualTo(new[] { "0E+0", "5E+10", "1E+11", "1.5E+11", "2E+11" }));
        Assert.That(Ticks(page, "contributions by round", "y"), Is.EqualTo(new[] { "0", "1", "2" }));
        Assert.That(Ticks(page, "seconds by round", "y"), Is.EqualTo(new[] { "0", "10", "20", "30" }));
        Assert.That(Ticks(page, "seconds by round", "x"), Is.EqualTo(new[] { "5", "10", "15", "20" }));
        foreach (var label in page.Descendants("text").Where(t => (string?)t.Attribute("class") == "y"))
            Assert.That(
                (double)label.Attribute("x")!, Is.GreaterThan(7 * label.Value.Length),
                "a label must not be cut off at the left");
        Assert.That(
            Ticks(Page(Round(1) with { Elapsed = TimeSpan.FromMinutes(90) }), "minutes by round", "y"),
            Is.EqualTo(new[] { "0", "25", "50", "75", "100" }));
    }

    private static string[][] Table(XElement page, string heading) =>
        [.. page.Elements("h2").Single(h => h.Value == heading).ElementsAfterSelf("table").First().Elements("tr")
            .Select(r => r.Elements().Select(c => c.Value).ToArray())];

    [Test]
    public void What_a_site_suffers_in_many_rounds_is_told_once()
    {
        var page = Page(Round(1), Round(2), Round(3, SiteStatus.Rejected), Round(5));
        Assert.That(Table(page, "What went wrong")[1..], Is.EqualTo(new string[][]
        {
            ["1–3, 5", "site-1", "validate", "Failed", "unwell"], ["1–3, 5", "site-2", "validate", "Failed", "unwell"],
                ["3", "site-2", "train", "Rejected", "unwell"],
        }));
        Assert.That(
            page.Descendants("p").Select(p => p.Value),
            Has.Some.Contains("not used, because the site failed, was refused, came too late or was lost"));
    }

    [Test]
    public void Models_have_a_column_where_they_were_hashed()
    {
        Assert.That(
            Table(Page(Round(1)), "Rounds"),
            Is.EqualTo(
                new string[][] { ["round", "sites", "metrics", "time", "best"], ["1", "2 of 2", "", "1.00 s", ""] }));
        Assert.That(
            Table(Page(Round(1) with { ModelSha256 = "0123456789abcdef" }), "Rounds")[1][^1],
            Is.EqualTo("0123456789ab"));
    }

    [Test]
    public async Task Nothing_that_sites_say_is_markup()
    {
        const string script = "<script>alert('\"&')</script>";
        var workflow = new FedAvg { Rounds = 1, MinSites = 1, Selection = null };
        await using var federation = Federation.InProcess(f => f
            .AddSite(
                "good" + script, _ => new Scripted((task, input, _, _) => ValueTask.FromResult(task == TaskNames.Train
                ? Sites.Diff(Dxo.From(input).Tensors, 1)
                : Dxo.Metrics(("score" + script, 1)).ToShareable())))
            .AddSite("bad" + script, _ => Sites.Throwing("a message with " + script))
            .UseController(workflow));
        var rounds = await federation.RunToEndAsync(Sites.Model(1));
        var html = new HtmlReport("a title with " + script, rounds).AddFact("fact" + script, "value" + script)
            .AddReference("score" + script, "label" + script, [1]).ToHtml();
        Assert.That(html, Does.Not.Contain("<script").And.Not.Contain("'\"&'"));
        var page = Page([.. rounds]);
        Assert.That(
            page.Descendants("td")
            .Select(d => d.Value), Has.Some.EqualTo("bad" + script).And.Some.Contains("a message with " + script));
        Assert.That(page.Descendants("th").Select(d => d.Value), Has.Some.EqualTo("good" + script));
        Assert.That(page.Descendants("pre").First().Value, Does.Contain("a message with " + script));
        Assert.That(page.Descendants("figcaption").Select(f => f.Value), Has.Some.EqualTo($"score{script} by round"));
    }

    private static RoundReport Of(int number, params SiteOutcome[] sites) =>
        Round(
            number) with { Targets = sites.Length, Accepted = sites.Count(s => s.Status == SiteStatus.Accepted),
            Sites = sites };

    [Test]
    public void Sites_that_state_any_number_of_steps_take_no_report_away()
    {
        SiteOutcome[] sites =
            [Outcome(1, TaskNames.Train, SiteStatus.Accepted),
                Outcome(2, TaskNames.Train, SiteStatus.Accepted) with { NumSteps = long.MaxValue }];
        var grid = Grid(Page([.. Enumerable.Range(1, 5).Select(n => Of(n, sites))]));
        Assert.That(
            grid.Select(r => r.Elements("td").Last().Value),
            Is.EqualTo(new[] { "50 steps", "46,116,860,184,273,879,035 steps" }));
        Assert.That(grid[0].Descendants("span").First().Attribute("style")!.Value, Is.EqualTo("--share:0.25"));
    }

    [Test]
    public void A_line_for_a_metric_that_no_round_has_is_drawn_and_says_so()
    {
        var report = new HtmlReport(
            "a run", [Round(1) with { Metrics = new Dictionary<string, double> { ["accuracy"] = 0.5 } }]);
        report.AddReference("acuracy", "central", [0.9]);
        var page = XElement.Parse(report.ToHtml().Split("</head>")[1].Replace("</html>", ""));
        Assert.That(
            page.Descendants("figcaption")
            .Select(f => f.Value), Has.Some.EqualTo("acuracy by round: no round has this metric"));
        Assert.That(page.Descendants("title").Select(t => t.Value), Has.Some.EqualTo("central, round 1: 0.9"));
    }

    [Test]
    public void What_controls_a_page_or_turns_a_line_around_is_replaced_and_names_are_isolated()
    {
        const string name = "north\u202Etsewhtuos", reason = "bad\0\b\u001b[31m\u0085 \uD800 \uFFFE\ttab\nline";
        var outcome = Outcome(
            1, TaskNames.Train, SiteStatus.Failed) with { Site = name, Reason = reason,
            Error = new() { Type = "T", Message = "m", Stack = reason } };
        var good = Outcome(1, TaskNames.Train, SiteStatus.Accepted) with { Site = name };
        var html = new HtmlReport(name, [Of(1, outcome), Of(2, good)]).AddFact(name, name)
            .AddReference(name, name, [1, 2]).ToHtml();
        Assert.That(
            html.EnumerateRunes().Where(r => r.Value != '\n' && r.Value != '\t' && Rune.IsControl(r)), Is.Empty);
        Assert.That(html.Contains('\u202E'), Is.False); // by character: a culture's comparison passes over it
        Assert.That(html, Does.Contain("<bdi>north\uFFFDtsewhtuos</bdi>"));
        var page = Page(Of(1, outcome), Of(2, good)); // what is no XML character would not parse
        Assert.That(
            Table(page, "What went wrong")[1][4],
            Does.StartWith("bad\uFFFD\uFFFD\uFFFD[31m\uFFFD \uFFFD \uFFFD\ttab\nline"));
        Assert.That(Grid(page).Single().Element("th")!.Element("bdi")!.Value, Is.EqualTo("north\uFFFDtsewhtuos"));
    }

    [Test]
    public void The_page_is_the_same_in_every_culture()
    {
        RoundReport[] rounds =
        [
            .. Enumerable.Range(1, 1500)
            .Select(
                n =>
                Of(n, Outcome(
                    1, TaskNames.Train, SiteStatus.Failed) with { Reason = $"reason {n}", NumSteps = -n }) with
            {
                Metrics = new Dictionary<string, double> { ["loss"] = -1234.5 / n },
            }),
        ];
        string Html() => new HtmlReport("a run", rounds).ToHtml();
        var plain = Html();
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (culture.NumberFormat.NumberDecimalSeparator, culture.NumberFormat.NumberGroupSeparator) = (",", ".");
        culture.NumberFormat.NegativeSign = "\u2212";
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = culture;
            Assert.That(Html(), Is.EqualTo(plain));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
        Assert.That(plain, Does.Contain("The first 200 of 1,500."));
    }

    [Test]
    public void A_page_of_ten_thousand_rounds_is_one_that_a_browser_opens()
    {
        RoundReport[] rounds =
        [
            .. Enumerable.Range(1, 10_000)
            .Select(
                n =>
                Of(n, Outcome(1, TaskNames.Train, SiteStatus.Accepted),
                    Outcome(2, TaskNames.Train, n % 2 == 0 ? SiteStatus.Failed : SiteStatus.Accepted)) with
            {
                Metrics = new Dictionary<string, double> { ["loss"] = n == 4321 ? 99 : 1.0 / n }, IsBest = n == 17,
                    Elapsed = TimeSpan.FromSeconds(n == 777 ? 50 : 1),
            }),
        ];
        var html = new HtmlReport("a run", rounds).ToHtml();
        Assert.That(html, Has.Length.LessThan(1_000_000));
        var page = Page(rounds);
        var loss = page.Descendants("figure").First().Descendants("title").Select(t => t.Value).ToArray();
        Assert.That(
            loss, Has.Length.LessThan(500).And.Some.EqualTo("federation, round 4321: 99"), "an outlier is seen");
        Assert.That(loss[0], Is.EqualTo("federation, round 1: 1"));
        Assert.That(loss[^1], Is.EqualTo("federation, round 10000: 0.0001"));
        Assert.That(page.Descendants("title").Select(t => t.Value), Has.Some.EqualTo("round 777: 50.0 s"));
        var table = Table(page, "Rounds");
        Assert.That(table[1][0], Is.EqualTo("17"), "the best model's round");
        Assert.That(table[^1][0], Is.EqualTo("10000"));
        Assert.That(
            page.Elements("p").Select(p => p.Value),
            Has.Some.Contains("The last 1,000 of 10,000").And.Some.Contains("The last 500 of 10,000 rounds."));
    }

    [Test]
    public void The_page_has_the_runs_end_in_numbers_and_how_it_failed()
    {
        RoundReport[] rounds =
            [Round(1), Round(2, SiteStatus.TimedOut) with { LateResults = 3 }, Round(3, SiteStatus.Rejected)];
        string[] Ends(HtmlReport report)
        {
            var html = report.ToHtml();
            var body = html[html.IndexOf("<body>", StringComparison.Ordinal)..html.IndexOf(
                "</html>", StringComparison.Ordinal)];
            return [.. XElement.Parse(body).Elements("p")
                .Where(p => ((string?)p.Attribute("class"))?.StartsWith("end", StringComparison.Ordinal) == true)
                .Select(p => p.Value)];
        }

        Assert.That(Ends(new("a run", rounds)), Is.EqualTo(new[]
        {
            "3 rounds in 6.00 s: 4 of 6 contributions used, 1 Rejected, 6 Failed, 1 TimedOut, 3 late.",
        }));
        var failed = new HtmlReport("a run", rounds).AddFailure(new InvalidOperationException("no <b>disk</b>"));
        Assert.That(Ends(failed)[1], Is.EqualTo("The run failed: no <b>disk</b>"));
        Assert.That(Ends(new("none", [])), Is.EqualTo(new[] { "0 rounds in 0.00 s: 0 of 0 contributions used." }));
    }

    [Test]
    public void Warnings_of_rounds_are_on_the_page_each_once_with_its_rounds()
    {
        const string odd = "no site states <acuracy>; did you mean 'accuracy'?";
        var page = Page(
            Round(1) with { Warnings = [odd] }, Round(2) with { Warnings = [odd, "site-2 was left out"] },
            Round(3), Round(4) with { Warnings = [odd] });
        Assert.That(Table(page, "What to look at")[1..], Is.EqualTo((string[][])
        [
            ["1–2, 4", odd], ["2", "site-2 was left out"],
        ]));
        Assert.That(Page(Round(1)).Elements("h2").Select(h => h.Value), Has.None.EqualTo("What to look at"));
    }
}
