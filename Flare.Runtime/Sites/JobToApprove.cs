using System.Buffers;
using System.Security.Cryptography;

namespace Flare;

/// <summary>
/// A job as a site's operator gets to see it before the site runs a task of it (<see cref="SiteBuilder.UseApproval"/>).
/// </summary>
public sealed record JobToApprove
{
    /// <summary>The site.</summary>
    public required string Site { get; init; }

    /// <summary>The job's id.</summary>
    public required string JobId { get; init; }

    /// <summary>The names of the job's workflows, as the server states them.</summary>
    public required IReadOnlyList<string> Workflows { get; init; }

    /// <summary>The <see cref="TensorLayout.Fingerprint"/> of the job's model, as the server states it.</summary>
    public required string Layout { get; init; }

    /// <summary>The tasks that the site has an executor for, in the order of their names.</summary>
    public required IReadOnlyList<string> Tasks { get; init; }

    /// <summary>Whether an executor of the site answers tasks of any other name, too.</summary>
    public required bool AnswersAnyTask { get; init; }

    /// <summary>What the site lets out.</summary>
    public required SitePolicy Policy { get; init; }

    /// <summary>The policies that server and site hold in common, such as encryption, by their fingerprints; empty
    /// where there are none.</summary>
    public required string CommonPolicy { get; init; }

    /// <summary>Names all of it: an approval is of just this, and where anything differs it is asked for again.
    /// </summary>
    public string Sha256()
    {
        var bytes = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(
            new()
            {
                ["site"] = Site, ["job"] = JobId, ["workflows"] = Texts(Workflows), ["layout"] = Layout,
                ["tasks"] = Texts(Tasks), ["any"] = AnswersAnyTask, ["policy"] = Policy.Describe(),
                ["common"] = CommonPolicy,
            },
            bytes);
        return Convert.ToHexStringLower(SHA256.HashData(bytes.WrittenSpan));
    }

    /// <summary>The job in words, for whoever is asked.</summary>
    public override string ToString() =>
        $"job '{JobId}' at {Site}: workflows {string.Join(", ", Workflows)}; tasks {string.Join(", ", Tasks)}"
            + $"{(AnswersAnyTask ? Tasks.Count > 0 ? " and any other" : "any" : "")}; model of layout {Layout}; "
            + $"policy: {Policy.Describe()}{(CommonPolicy.Length > 0 ? $"; in common: {CommonPolicy}" : "")}";

    private static FlareValue Texts(IEnumerable<string> texts) =>
        FlareValue.ListOf([.. texts.Select(t => (FlareValue)t)]);
}

/// <summary>What a site's operator says to a job.</summary>
public sealed record JobDecision
{
    private JobDecision(string? refusal) => Refusal = refusal;

    /// <summary>The site takes part.</summary>
    public static JobDecision Approve { get; } = new((string?)null);

    /// <summary>Why the site takes no part; null where it does.</summary>
    public string? Refusal { get; }

    /// <summary>The site takes no part.</summary>
    /// <param name="reason">Why, for the server's operator.</param>
    public static JobDecision Refuse(string reason)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(reason);
        return new(reason);
    }
}
