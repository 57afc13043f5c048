using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Core;

/// <summary>A round's report as JSON, by the platform's own serializer: all of it, and back.</summary>
public partial class ReportJsonTests
{
    private static RoundReport Report() => new()
    {
        Number = 3, Workflow = "FedAvg", Targets = 3, Accepted = 1, LateResults = 4, DuplicateResults = 5,
            IsBest = true,
        ModelSha256 = "0123", Elapsed = TimeSpan.FromTicks(1_234_567_890_123),
        Metrics = new Dictionary<string,
        double> { ["accuracy"] = 0.1 + 0.2, ["odd"] = double.NaN, ["odder"] = double.NegativeInfinity },
        Sites =
        [
            new()
            {
                Site = "north", Task = "train", Status = SiteStatus.Accepted, Code = ReturnCode.Ok,
                    NumSteps = long.MaxValue, Bytes = 1L << 40,
                Elapsed = TimeSpan.FromSeconds(1.5),
                Metrics = new FlareMap
                {
                    ["accuracy"] = 0.75, ["whole"] = 2.0, ["count"] = 2, ["large"] = 1e300, ["zero"] = -0.0,
                        ["$money"] = 1.5,
                    ["odd"] = double.NaN, ["odder"] = double.PositiveInfinity, ["tiny"] = double.Epsilon,
                },
            },
            new()
            {
                Site = "süd", Task = "train", Status = SiteStatus.Failed, Code = ReturnCode.ExecutionException,
                    Reason = "\"it\" <threw>",
                Error = new() { Site = "süd", Task = "train", Round = 3, Type = "T", Message = "m\n",
                    Stack = "at A\nat B" },
            },
            new() { Site = "west", Task = "train", Status = SiteStatus.TimedOut },
        ],
    };

    private static void AssertSame(RoundReport? read, RoundReport report)
    {
        Assert.That(read, Is.Not.Null);
        Assert.That(read!.Metrics, Is.EquivalentTo(report.Metrics));
        Assert.That(read.Sites, Has.Count.EqualTo(report.Sites.Count));
        foreach (var (mine, other) in read.Sites.Zip(report.Sites))
        {
            Assert.That(mine with { Metrics = null }, Is.EqualTo(other with { Metrics = null }));
            Assert.That(
                mine.Metrics?.ContentEquals(other.Metrics)
                ?? other.Metrics is null, $"{mine.Metrics} is not {other.Metrics}");
            Assert.That(
                mine.Metrics?.Select(m => m.Key), Is.EqualTo(other.Metrics?.Select(m => m.Key)), "in their order");
        }
        var rest = new Dictionary<string, double>();
        Assert.That(
            read with { Metrics = rest, Sites = [] } is { } left
            && left.ToString() == (report with { Metrics = rest, Sites = [] }).ToString());
        Assert.That(
            (read.Workflow, read.LateResults, read.DuplicateResults, read.ModelSha256, read.Elapsed),
            Is.EqualTo(
                (report.Workflow, report.LateResults, report.DuplicateResults, report.ModelSha256, report.Elapsed)));
    }

    [Test]
    public void A_report_is_read_back_as_it_was_written([Values(false, true)] bool web)
    {
        var options = web ? JsonSerializerOptions.Web : JsonSerializerOptions.Default;
        var json = JsonSerializer.Serialize(Report(), options);
        AssertSame(JsonSerializer.Deserialize<RoundReport>(json, options), Report());
    }

    [JsonSerializable(typeof(RoundReport))]
    private sealed partial class Generated : JsonSerializerContext;

    [Test]
    public void Generated_code_writes_and_reads_the_same()
    {
        var json = JsonSerializer.Serialize(Report(), Generated.Default.RoundReport);
        Assert.That(json, Is.EqualTo(JsonSerializer.Serialize(Report())));
        AssertSame(JsonSerializer.Deserialize(json, Generated.Default.RoundReport), Report());
    }

    [Test]
    public void What_a_page_reads_is_plain()
    {
        var json = JsonNode.Parse(JsonSerializer.Serialize(Report(), JsonSerializerOptions.Web))!.AsObject();
        Assert.That(json.Select(p => p.Key), Is.EquivalentTo(new[]
        {
            "number", "workflow", "targets", "accepted", "metrics", "sites", "elapsed", "lateResults",
                "duplicateResults", "isBest", "modelSha256", "warnings",
        }));
        var site = json["sites"]![0]!;
        Assert.That((string?)site["status"], Is.EqualTo("Accepted"));
        Assert.That((string?)site["code"], Is.EqualTo("Ok"));
        Assert.That((double)site["metrics"]!["accuracy"]!, Is.EqualTo(0.75));
        Assert.That((double)json["metrics"]!["accuracy"]!, Is.EqualTo(0.1 + 0.2));
        Assert.That((string?)json["sites"]![1]!["error"]!["stack"], Is.EqualTo("at A\nat B"));
    }

    [Test]
    public async Task A_federations_own_report_keeps_the_sites_metrics()
    {
        var site = new Scripted((task, input, _, _) => ValueTask.FromResult(
            task == TaskNames.Train ? Sites.Diff(Dxo.From(input).Tensors, 1)
            : Dxo.Metrics(("accuracy", 0.75)).ToShareable()));
        var federation = await Sites.RunAsync(new FedAvg { Rounds = 1 }, Sites.Model(1), site);
        var report = federation.Rounds[0];
        var json = JsonSerializer.Serialize(report);
        AssertSame(JsonSerializer.Deserialize<RoundReport>(json), report);
        var outcome = JsonNode.Parse(json)!["Sites"]!.AsArray().Single(s => (string?)s!["Task"] == TaskNames.Validate)!;
        Assert.That((double)outcome["Metrics"]!["accuracy"]!, Is.EqualTo(0.75));
    }

    [Test]
    public void Values_of_all_kinds_but_tensors_come_back()
    {
        FlareMap map = new()
        {
            ["null"] = (string?)null, ["true"] = true, ["text"] = "NaN", ["bytes"] = new byte[] { 1, 2, 255 },
                ["least"] = long.MinValue,
            ["list"] = FlareValue.List(1, 1.0, FlareValue.List(), "x", default), ["map"] = new FlareMap(),
            ["none"] = Array.Empty<byte>(),
            ["deep"] = new FlareMap { ["$bytes"] = "AQ==", ["$"] = new FlareMap { ["$number"] = "NaN" } },
        };
        var json = JsonSerializer.Serialize(map);
        Assert.That(JsonSerializer.Deserialize<FlareMap>(json)!.ContentEquals(map), json);
        Assert.That(
            () => JsonSerializer.Serialize(new FlareMap { ["w"] = Sites.Model(1) }),
            Throws.TypeOf<NotSupportedException>().With.Message.Contains("SaveAsync"));
    }

    [TestCase("[]"), TestCase("1"), TestCase("""{"a":1,"a":2}"""), TestCase("""{"":1}"""),
        TestCase("""{"a":{"$number":1}}""")]
    [TestCase("""{"a":{"$number":"1"}}"""), TestCase("""{"a":{"$bytes":"?"}}"""),
        TestCase("""{"a":{"$bytes":"AQ==","b":1}}""")]
    [TestCase("""{"a":{"b":1,"$bytes":"AQ=="}}"""), TestCase("""{"a":{"$other":1}}"""), TestCase("""{"a":""")]
    public void What_is_no_map_is_refused_as_JSON(string json) =>
        Assert.That(() => JsonSerializer.Deserialize<FlareMap>(json), Throws.InstanceOf<JsonException>());

    [Test]
    public void A_report_without_its_metrics_is_refused()
    {
        var json = JsonSerializer.Serialize(Report());
        var node = JsonNode.Parse(json)!.AsObject();
        node.Remove("Metrics");
        Assert.That(() => node.Deserialize<RoundReport>(), Throws.InstanceOf<JsonException>());
        node["Metrics"] = null;
        Assert.That(() => node.Deserialize<RoundReport>(), Throws.InstanceOf<ArgumentNullException>());
    }
}
