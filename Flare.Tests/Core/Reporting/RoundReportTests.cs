namespace Flare.Tests.Core;

/// <summary>A report in one line.</summary>
public class RoundReportTests
{
    private static RoundReport Report(double seconds) => new()
    {
        Number = 3, Targets = 8, Accepted = 5, Sites = [], Elapsed = TimeSpan.FromSeconds(seconds),
        Metrics = new Dictionary<string, double> { ["loss"] = 0.21, ["accuracy"] = 0.95312 }, IsBest = true,
    };

    [Test]
    public void A_report_is_one_line_for_people()
    {
        Assert.That(
            Report(0.4812).ToString(),
            Is.EqualTo("round 3: 5 of 8 sites, 0.48 s, accuracy 0.953, loss 0.21 (best so far)"));
        Assert.That(
            (Report(
                0) with { Metrics = new Dictionary<string, double>(), IsBest = false, Targets = 1,
                Accepted = 1 }).ToString(), Is.EqualTo("round 3: 1 of 1 site, 0.00 s"));
    }

    [TestCase(9.99, "9.99 s"), TestCase(9.999, "10.0 s"), TestCase(59.94, "59.9 s"), TestCase(59.97, "1 min 00 s"),
        TestCase(185, "3 min 05 s"), TestCase(7625, "2 h 07 min"), TestCase(273_600, "3 d 04 h")]
    public void Times_are_readable(double seconds, string text) =>
        Assert.That(Report(seconds).ToString(), Does.Contain($", {text}, accuracy"));
}
