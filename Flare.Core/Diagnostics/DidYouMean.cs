namespace Flare;

/// <summary>
/// Finds the name that somebody most likely meant, for messages about one that is not there: of a task, a metric, a
/// tensor. Names that are equal but for case, or a few letters away, are near.
/// </summary>
public static class DidYouMean
{
    /// <summary><c>" (did you mean 'train'?)"</c>, or nothing where no name is near.</summary>
    /// <param name="name">The name that is not there.</param>
    /// <param name="known">Those that are.</param>
    public static string Suggest(string name, IEnumerable<string> known) =>
        Nearest(name, known) is { } near ? $" (did you mean '{near}'?)" : "";

    /// <summary>
    /// <c>" Did you mean 'accuracy'?"</c>, or nothing: for names that people shorten, too, such as <c>acc</c>.
    /// </summary>
    /// <param name="name">The name that is not there.</param>
    /// <param name="known">Those that are.</param>
    public static string Question(string name, IEnumerable<string> known)
    {
        string[] names = [.. known];
        var near = Nearest(name, names) ?? names.Order(StringComparer.Ordinal).FirstOrDefault(k =>
            name.Length >= 3 && k.Length > name.Length && k.StartsWith(name, StringComparison.OrdinalIgnoreCase));
        return near is null ? "" : $" Did you mean '{near}'?";
    }

    /// <summary>The nearest of the names: equal but for case, or a few letters away. Null where none is near.</summary>
    /// <param name="name">The name that is not there.</param>
    /// <param name="known">Those that are; <paramref name="name"/> itself is no answer.</param>
    public static string? Nearest(string name, IEnumerable<string> known)
    {
        const int longest = 64;
        string? best = null;
        var least = int.MaxValue;
        foreach (var candidate in known.Order(StringComparer.Ordinal))
        {
            if (candidate == name || Math.Max(candidate.Length, name.Length) > longest) continue;
            var distance = Distance(name.ToUpperInvariant(), candidate.ToUpperInvariant());
            if (distance > Math.Max(1, Math.Min(name.Length, candidate.Length) / 3) || distance >= least) continue;
            (best, least) = (candidate, distance);
        }
        return best;
    }

    // Levenshtein's, with a swap of neighbours as one change.
    private static int Distance(string a, string b)
    {
        int[] before = new int[b.Length + 1], last =
            [.. Enumerable.Range(0, b.Length + 1)], next = new int[b.Length + 1];
        for (var i = 1; i <= a.Length; i++)
        {
            next[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var change = a[i - 1] == b[j - 1] ? 0 : 1;
                next[j] = Math.Min(Math.Min(last[j], next[j - 1]) + 1, last[j - 1] + change);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    next[j] = Math.Min(next[j], before[j - 2] + 1);
            }
            (before, last, next) = (last, next, before);
        }
        return last[b.Length];
    }
}
