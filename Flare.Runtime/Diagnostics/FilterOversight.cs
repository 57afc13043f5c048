namespace Flare.Runtime;

/// <summary>
/// Filters that were never called, since their tasks are misspelt: what they were to guard went as it was.
/// </summary>
internal static class FilterOversight
{
    private const int Most = 5;

    /// <summary>The error that a run ends with which has gone well otherwise; null where all is well.</summary>
    /// <param name="neverCalled">The filters that were not called, and whether their tasks are misspelt.</param>
    public static FlareException? Of(IEnumerable<(string Text, bool IsMisspelt)> neverCalled)
    {
        string[] never = [.. neverCalled.Where(n => n.IsMisspelt).Select(n => n.Text)];
        if (never.Length == 0) return null;
        var more = never.Length > Most ? $"; and {never.Length - Most} more" : "";
        return new FlareException(
            ErrorIds.Filter,
            "The run has ended, and nothing was filtered that should have been: "
            + $"{string.Join("; ", never.Take(Most))}{more}. The rounds are committed, but what the filters guard has "
            + "passed as it was: name the task as the workflow does, or none for all tasks.");
    }
}
