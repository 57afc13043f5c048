using System.Globalization;
using System.Text;

namespace Flare;

/// <summary>The errors at sites within the exception that ends a task.</summary>
internal static class SiteErrors
{
    private const int MostStacks = 3;

    /// <summary>The first site's exception, where it was thrown in this process.</summary>
    public static Exception? FirstException(IReadOnlyList<SiteOutcome> sites) =>
        sites.Select(s => s.Error?.Exception).FirstOrDefault(e => e is not null);

    /// <summary>The stacks of the first few sites' errors, each with site, task and round; but for the one that is told
    /// already.</summary>
    public static string Stacks(IReadOnlyList<SiteOutcome> sites, Exception? told)
    {
        ErrorRecord[] errors = [.. sites.Select(s => s.Error).OfType<ErrorRecord>()
            .Where(e => e.Stack.Length > 0 && (told is null || !ReferenceEquals(e.Exception, told)))];
        var text = new StringBuilder();
        foreach (var error in errors.DistinctBy(e => (e.Type, e.Message)).Take(MostStacks))
            text.Append(
                CultureInfo.InvariantCulture,
                $"{Environment.NewLine}--- {error.Site}, {error.Task}, round "
                    + $"{error.Round}:{Environment.NewLine}{error.Stack}");
        return text.ToString();
    }
}
