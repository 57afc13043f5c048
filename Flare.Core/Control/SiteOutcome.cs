using System.Text.Json.Serialization;

namespace Flare;

/// <summary>How a task ended for one site.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<SiteStatus>))]
public enum SiteStatus
{
    /// <summary>Not answered yet.</summary>
    Pending = 0,
    /// <summary>The answer was admitted.</summary>
    Accepted = 1,
    /// <summary>The answer was refused.</summary>
    Rejected = 2,
    /// <summary>The site answered that it failed.</summary>
    Failed = 3,
    /// <summary>The task ended before the site answered.</summary>
    TimedOut = 4,
    /// <summary>The task was cancelled.</summary>
    Cancelled = 5,
    /// <summary>The site was lost while it held the task.</summary>
    Lost = 6,
}

/// <summary>How a task ended for one site, with the reason where it did not end well.</summary>
public sealed record SiteOutcome
{
    /// <summary>The site.</summary>
    public required string Site { get; init; }

    /// <summary>The task's name.</summary>
    public required string Task { get; init; }

    /// <summary>How it ended.</summary>
    public required SiteStatus Status { get; init; }

    /// <summary>What the site answered; null where no answer was looked at.</summary>
    public ReturnCode? Code { get; init; }

    /// <summary>Why it did not end well, and what to do; null where it did.</summary>
    public string? Reason { get; init; }

    /// <summary>The failure at the site, if one was reported.</summary>
    public ErrorRecord? Error { get; init; }

    /// <summary>Training steps as the site states them.</summary>
    public long? NumSteps { get; init; }

    /// <summary>The metrics of the site's answer.</summary>
    public FlareMap? Metrics { get; init; }

    /// <summary>From sending the task to the answer's arrival, or to its end.</summary>
    public TimeSpan Elapsed { get; init; }

    /// <summary>Bytes of the answer's tensors.</summary>
    public long Bytes { get; init; }

    /// <summary>One line for people.</summary>
    public override string ToString() => $"{ToShortText()} (task '{Task}')";

    /// <summary>The line without the task, for where that is named already.</summary>
    internal string ToShortText() => Reason is null ? $"{Site}: {Status}" : $"{Site}: {Status}: {Reason}";

    internal FlareMap ToMap()
    {
        var map = new FlareMap { ["site"] = Site, ["task"] = Task, ["status"] = (int)Status,
            ["elapsed_ticks"] = Elapsed.Ticks, ["bytes"] = Bytes };
        if (Code is { } code) map["code"] = (int)code;
        if (Reason is not null) map["reason"] = Reason;
        if (Error is not null) map["error"] = Error.ToMap();
        if (NumSteps is { } steps) map["num_steps"] = steps;
        if (Metrics is not null) map["metrics"] = Metrics;
        return map;
    }

    internal static SiteOutcome FromMap(FlareMap map) => new()
    {
        Site = map["site"].AsText(),
        Task = map["task"].AsText(),
        Status = (SiteStatus)map["status"].AsInteger(),
        Elapsed = TimeSpan.FromTicks(map["elapsed_ticks"].AsInteger()),
        Bytes = map["bytes"].AsInteger(),
        Code = map.TryGet("code", out var code) ? (ReturnCode)code.AsInteger() : null,
        Reason = map.TryGet("reason", out var reason) ? reason.AsText() : null,
        Error = map.TryGet("error", out var error) ? ErrorRecord.FromMap(error.AsMap()) : null,
        NumSteps = map.TryGet("num_steps", out var steps) ? steps.AsInteger() : null,
        Metrics = map.TryGet("metrics", out var metrics) ? metrics.AsMap() : null,
    };
}
