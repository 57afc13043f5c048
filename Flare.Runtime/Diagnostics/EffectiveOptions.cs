using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>
/// What a server or a site runs with, in words, for one line of the log at its start. Objects of the application's own
/// are named by their types alone: what they say of themselves may be a secret.
/// </summary>
internal static partial class EffectiveOptions
{
    /// <summary>Logs a server's.</summary>
    public static void Log(JobServerOptions options, ILogger logger)
    {
        if (!logger.IsEnabled(LogLevel.Information)) return;
        Runtime.Log.ServerOptions(logger, options.JobId, Join(
        [
            ("seed", Text(options.Seed)),
            ("workflows", Names(options.Controllers.Select(c => c.Name))),
            ("model", $"{options.InitialModel.Layout.Count} tensors, {options.InitialModel.Layout.ByteLength} bytes"),
            ("sites", options.Sites.Count == 0 ? "" : Text(options.Sites.Count)),
            ("roster", options.IsRosterClosed ? "closed" : "open"),
            ("journal", options.Journal is null ? "none" : Redacted(options.JournalPlace)),
            ("aggregator", options.CreateAggregator is null ? "" : "of an extension"),
            ("filters out", Names(options.FiltersOut.Names)),
            ("filters in", Names(options.FiltersIn.Names)),
            ("policy fingerprint", options.PolicyFingerprint),
            .. Described(options.Descriptions),
            ("limits", Limits(options.Limits)),
        ]));
    }

    /// <summary>Logs a site's.</summary>
    public static void Log(SiteDefinition site, SitePolicy policy, SiteRuntimeOptions options, ILogger logger)
    {
        // In one process the server's line says the same, and ten thousand more would bury it.
        var level = options.IsInProcess ? LogLevel.Debug : LogLevel.Information;
        if (!logger.IsEnabled(level)) return;
        var text = Join(
        [
            ("job", options.JobId),
            ("seed", Text(options.Seed)),
            ("incarnation", Text(options.Incarnation)),
            ("executors", Names(site.Executors.Select(e => e.GetType().Name))),
            ("filters in", Names(site.FiltersIn.Names)),
            ("filters out", Names(site.FiltersOut.Names)),
            ("policy", policy.Describe()),
            ("state", options.State is null ? "in memory" : "kept"),
            ("layout fingerprint", options.LayoutFingerprint),
            ("policy fingerprint", options.PolicyFingerprint),
            .. Described(options.Descriptions),
            ("limits", Limits(options.Limits)),
        ]);
        Runtime.Log.SiteOptions(logger, level, site.Name, text);
    }

    /// <summary>A place without the name and password that it may carry.</summary>
    internal static string Redacted(string place) => UserInfo().Replace(place, "//***@");

    private static IEnumerable<(string, string)> Described(IReadOnlyList<Description> descriptions)
    {
        foreach (var (name, describe) in descriptions)
        {
            string text;
            try
            {
                text = describe();
            }
            catch (Exception e)
            {
                text = $"could not be described: {e.GetType().Name}"; // an extension's code, and no reason to stop
            }
            yield return (name, text);
        }
    }

    private static string Join(IEnumerable<(string Name, string Value)> options) =>
        string.Join("; ", options.Where(o => o.Value.Length > 0).Select(o => $"{o.Name} {o.Value}"));

    private static string Names(IEnumerable<string> names) => string.Join(", ", names);

    private static string Text(IFormattable value) => value.ToString(null, null);

    // All of them, those of later versions too, as a record writes itself: "RuntimeLimits { A = 1, B = 2 }".
    private static string Limits(RuntimeLimits limits)
    {
        var text = limits.ToString();
        return text[(text.IndexOf('{') + 2)..text.LastIndexOf('}')].TrimEnd();
    }

    [GeneratedRegex("//[^/@\\s]*@")]
    private static partial Regex UserInfo();
}

/// <summary>How an extension is set, in words without secrets; asked for when the server or the site starts.</summary>
internal sealed record Description(string Name, Func<string> Describe);
