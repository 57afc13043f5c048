namespace Flare.Runtime;

/// <summary>The version of the words that servers and sites speak.</summary>
public static class FlareProtocol
{
    /// <summary>Raised whenever what one side says would be misunderstood by an older other.</summary>
    public const int Version = 1;
}

/// <summary>
/// What a site takes for granted about its job, said with its hello: where the server holds otherwise, the site would
/// train for nothing, or worse, train along unnoticed.
/// </summary>
/// <param name="JobId">The job's id.</param>
/// <param name="Seed">The job's seed.</param>
/// <param name="Version">The site's <see cref="FlareProtocol.Version"/>.</param>
/// <param name="Layout">The fingerprint of the model's layout that the site is built for; empty for any.</param>
/// <param name="Policy">The fingerprint of the policy that the site holds; empty for none.</param>
internal sealed record HelloTerms(string JobId, ulong Seed, int Version, string Layout, string Policy)
{
    /// <summary>What differs from the server's own terms, for the operator; null where nothing does.</summary>
    /// <param name="server">
    /// The server's terms: an empty <see cref="Policy"/> takes any. Its seed is not told to who does not know it.
    /// </param>
    public string? DifferenceFrom(HelloTerms server)
    {
        var differences = new List<string>();
        if (Version != server.Version)
        {
            differences.Add($"it speaks version {Version} of the protocol and the server {server.Version}: use the "
                + "same version of Flare at both");
        }
        if (JobId != server.JobId)
            differences.Add($"it means job '{Shown(JobId)}', and this is job '{server.JobId}'");
        if (Seed != server.Seed)
            differences.Add($"its seed is {Seed}, and the job's is another: give both the same seed");
        if (Layout.Length > 0 && Layout != server.Layout)
        {
            differences.Add($"it is built for a model of layout {Shown(Layout)}, and the job's model has layout "
                + $"{server.Layout}: give both the same model");
        }
        if (server.Policy.Length > 0 && Policy != server.Policy)
        {
            differences.Add(Policy.Length == 0
                ? $"it states no policy, and the server asks for policy {server.Policy}"
                : $"its policy is {Shown(Policy)}, and the server asks for {server.Policy}");
        }
        return differences.Count == 0 ? null : string.Join("; ", differences);
    }

    private static string Shown(string text) => PlainText.Cut(text, 100);
}
