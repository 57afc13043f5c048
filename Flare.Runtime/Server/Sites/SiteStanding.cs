namespace Flare.Runtime;

/// <summary>How a site stands in its job, as its server sees it.</summary>
/// <param name="Site">The site's name.</param>
public sealed record SiteStanding(string Site)
{
    /// <summary>Whether the site is there now.</summary>
    public bool IsConnected { get; init; }

    /// <summary>Why its operator has paused it; null where it works, empty where no reason was given.</summary>
    public string? Pause { get; init; }

    /// <summary>Why it has left the job; null where it has not, empty where no reason was given.</summary>
    public string? Left { get; init; }

    /// <summary>Why it takes no part in the job; null where it does.</summary>
    public string? Declined { get; init; }

    /// <summary>The name, and what keeps the site from working: <c>hospital-2 (paused: maintenance)</c>.</summary>
    public override string ToString() => this switch
    {
        { Declined: { } why } => $"{Site} (takes no part{Because(why)})",
        { Left: { } why } => $"{Site} (has left{Because(why)})",
        { IsConnected: false } => $"{Site} (not there)",
        { Pause: { } why } => $"{Site} (paused{Because(why)})",
        _ => Site,
    };

    private static string Because(string reason) => reason.Length > 0 ? $": {reason}" : "";
}
