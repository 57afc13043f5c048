namespace Flare.Runtime;

/// <summary>Which job a journal belongs to. A journal resumes only its own.</summary>
internal sealed record JournalIdentity
{
    /// <summary>The job's id.</summary>
    public required string JobId { get; init; }

    /// <summary>The job's seed.</summary>
    public required long Seed { get; init; }

    /// <summary>
    /// <see cref="TensorLayout.Fingerprint"/> of the model; empty where the model comes from the sites.
    /// </summary>
    public string LayoutFingerprint { get; init; } = "";

    /// <summary>
    /// The names of its workflows. Others are a warning, not an error: a job may resume with more rounds.
    /// </summary>
    public string Workflows { get; init; } = "";

    /// <summary>
    /// Whether an extension provides the aggregator, such as homomorphic encryption. What it made of the model, only it
    /// can go on with; a job that was begun in the clear may go on encrypted.
    /// </summary>
    public bool HasProvidedAggregator { get; init; }

    /// <summary>What keeps a journal's job and this one apart, in words; null where they are one.</summary>
    public string? DifferenceFrom(JournalIdentity recorded)
    {
        List<string> differences = [];
        if (JobId != recorded.JobId) differences.Add($"the job id is '{recorded.JobId}' there and '{JobId}' here");
        if (Seed != recorded.Seed) differences.Add($"the seed is {recorded.Seed} there and {Seed} here");
        if (LayoutFingerprint != recorded.LayoutFingerprint)
            differences.Add(
                $"the model's layout is '{recorded.LayoutFingerprint}' there and '{LayoutFingerprint}' here");
        if (recorded.HasProvidedAggregator && !HasProvidedAggregator)
            differences.Add(
                "its model was aggregated by an extension there, such as homomorphic encryption, and is not here");
        return differences.Count == 0 ? null : string.Join("; ", differences);
    }

    public FlareMap ToMap()
    {
        var map = new FlareMap
        {
            ["job"] = JobId,
            ["seed"] = Seed,
            ["layout"] = LayoutFingerprint,
            ["configuration"] = Workflows,
        };
        if (HasProvidedAggregator) map["provided_aggregator"] = true;
        return map;
    }

    public static JournalIdentity FromMap(FlareMap map) => new()
    {
        JobId = map["job"].AsText(),
        Seed = map["seed"].AsInteger(),
        LayoutFingerprint = map["layout"].AsText(),
        Workflows = map["configuration"].AsText(),
        HasProvidedAggregator = map.TryGet("provided_aggregator", out var provided) && provided.AsBoolean(),
    };
}
