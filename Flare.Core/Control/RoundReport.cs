using System.Text.Json.Serialization;

namespace Flare;

/// <summary>
/// What happened in a committed round. <see cref="System.Text.Json"/> writes it and reads what it wrote, enumerations
/// as names, with whatever options and with source generation, too.
/// </summary>
public sealed partial record RoundReport
{
    /// <summary>The round, counted from 1.</summary>
    public required int Number { get; init; }

    /// <summary>The name of the workflow whose round it is.</summary>
    public string Workflow { get; init; } = "";

    /// <summary>How many sites the round's task was sent to (the first task of the round, and further ones of its
    /// name).</summary>
    public required int Targets { get; init; }

    /// <summary>How many of them answered with a contribution that was used.</summary>
    public required int Accepted { get; init; }

    /// <summary>
    /// The quality of a model, as the workflow measured it, such as <c>accuracy</c>; empty where it did not. It is the
    /// round's own model, unless the workflow was told to measure the one that the round began with, as by
    /// <c>ValidationMode.BeforeTraining</c>.
    /// </summary>
    [JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
    public required IReadOnlyDictionary<string, double> Metrics
    {
        get;
        init => field = new NamedMetrics(value ?? throw new ArgumentNullException(nameof(value)));
    }

    /// <summary>
    /// How each of the round's tasks ended for each site. A report that was read back from a journal, or that nobody
    /// read while four newer ones came, has, where there were more than 1,000 of them, only the first 1,000 that were
    /// not used.
    /// </summary>
    public required IReadOnlyList<SiteOutcome> Sites
    {
        get;
        init => field = value ?? throw new ArgumentNullException(nameof(value));
    }

    /// <summary>
    /// From the round's first task, or the last commit, until the round was ready to be committed. What the commit then
    /// waits for whoever reads the rounds is not in it.
    /// </summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Results that came after their task had ended; dropped.</summary>
    public int LateResults { get; init; }

    /// <summary>Results that came again; dropped.</summary>
    public int DuplicateResults { get; init; }

    /// <summary>Whether the model that <see cref="Metrics"/> are of, and no other, is the best so far.</summary>
    public bool IsBest { get; init; }

    /// <summary>
    /// What an operator should know of the round though it went on, each in one sentence: metrics that are no numbers,
    /// a selection whose metric nobody states, sites left out round after round. Empty where all is well.
    /// </summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>SHA-256 of the round's model, where the job keeps a journal; else null.</summary>
    public string? ModelSha256 { get; init; }

    /// <summary>One line for people, such as <c>round 3: 5 of 8 sites, 0.48 s, accuracy 0.953, loss 0.21 (best so
    /// far)</c>.</summary>
    public override string ToString()
    {
        var metrics = Metrics.OrderBy(m => m.Key, StringComparer.Ordinal)
            .Select(m => $", {m.Key} {Readable.Number(m.Value)}");
        return $"round {Number}: {Accepted} of {Readable.Count(Targets, "site")}, "
            + $"{Readable.Duration(Elapsed)}{string.Concat(metrics)}{(IsBest ? " (best so far)" : "")}";
    }

    // What a report of very many sites keeps in the journal, and in memory for long: a name, a status and a reason of
    // each, and not of all.
    private const int MostOutcomes = 1000;
    private const int MostStacks = 16;

    /// <summary>The report with none but the first of the sites whose answer was not used, and without their
    /// stacks.</summary>
    internal RoundReport Thinned() => this with
    {
        Sites =
            [.. Sites.Where(s => s.Status != SiteStatus.Accepted).Take(MostOutcomes)
                .Select(s => s with { Error = s.Error is { } e ? e with { Stack = "" } : null })],
    };

    /// <summary>The report, thinned out if it is of more than a thousand outcomes.</summary>
    internal RoundReport ThinnedIfLarge() => Sites.Count > MostOutcomes ? Thinned() : this;

    /// <summary>The report as it is journalled: thinned out if it is of more than a thousand outcomes, and with no more
    /// than the first stacks.</summary>
    internal FlareMap ToMap()
    {
        if (Sites.Count > MostOutcomes) return Thinned().AllToMap();
        var stacks = 0;
        return (this with { Sites =
            [.. Sites.Select(
                s => s.Error is { } e && ++stacks > MostStacks ? s with { Error = e with { Stack = "" } }
                : s)] }).AllToMap();
    }

    private FlareMap AllToMap()
    {
        var metrics = new FlareMap();
        foreach (var (name, value) in Metrics) metrics[name] = value;
        var map = new FlareMap
        {
            ["number"] = Number,
            ["workflow"] = Workflow,
            ["targets"] = Targets,
            ["accepted"] = Accepted,
            ["metrics"] = metrics,
            ["sites"] = FlareValue.List([.. Sites.Select(s => (FlareValue)s.ToMap())]),
            ["elapsed_ticks"] = Elapsed.Ticks,
            ["late"] = LateResults,
            ["duplicates"] = DuplicateResults,
            ["is_best"] = IsBest,
        };
        if (ModelSha256 is not null) map["model_sha256"] = ModelSha256;
        if (Warnings.Count > 0) map["warnings"] = FlareValue.List([.. Warnings.Select(w => (FlareValue)w)]);
        return map;
    }

    internal static RoundReport FromMap(FlareMap map) => new()
    {
        Number = (int)map["number"].AsInteger(),
        Workflow = map["workflow"].AsText(),
        Targets = (int)map["targets"].AsInteger(),
        Accepted = (int)map["accepted"].AsInteger(),
        Metrics = map["metrics"].AsMap().ToDictionary(m => m.Key, m => m.Value.AsNumber(), StringComparer.Ordinal),
        Sites = [.. map["sites"].AsList().Select(s => SiteOutcome.FromMap(s.AsMap()))],
        Elapsed = TimeSpan.FromTicks(map["elapsed_ticks"].AsInteger()),
        LateResults = (int)map["late"].AsInteger(),
        DuplicateResults = (int)map["duplicates"].AsInteger(),
        IsBest = map["is_best"].AsBoolean(),
        ModelSha256 = map.TryGet("model_sha256", out var sha) ? sha.AsText() : null,
        Warnings = map.TryGet("warnings", out var warnings) ? [.. warnings.AsList().Select(w => w.AsText())] : [],
    };
}
