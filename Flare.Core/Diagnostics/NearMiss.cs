namespace Flare;

/// <summary>Finds the name that somebody meant.</summary>
internal static class NearMiss
{
    /// <summary>What to say behind a message about a name that is not there: <c> Did you mean 'accuracy'?</c>, or nothing.</summary>
    public static string Hint(string name, IEnumerable<string> known) => Of(name, known) is { } meant ? $" Did you mean '{meant}'?" : "";

    /// <summary>The known name nearest to one that is not: but for its case, begun by it, or a few letters off; null where none is near.</summary>
    public static string? Of(string name, IEnumerable<string> known)
    {
        var (nearest, least) = ((string?)null, Math.Max(1, name.Length / 3) + 1);
        foreach (var candidate in known.Where(k => k != name).Order(StringComparer.Ordinal))
        {
            var distance = candidate.Equals(name, StringComparison.OrdinalIgnoreCase) ? 0
                : name.Length >= 3 && candidate.StartsWith(name, StringComparison.OrdinalIgnoreCase) ? 1
                : Distance(name.ToUpperInvariant(), candidate.ToUpperInvariant());
            if (distance < least) (nearest, least) = (candidate, distance);
        }
        return nearest;
    }

    /// <summary>Letters to insert, delete or replace (Levenshtein 1966), with a swap of neighbours as one.</summary>
    private static int Distance(string a, string b)
    {
        if (Math.Abs(a.Length - b.Length) > 4 || a.Length > 64 || b.Length > 64) return int.MaxValue;
        var rows = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) rows[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) rows[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                rows[i, j] = Math.Min(Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1, rows[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
            }
        }
        return rows[a.Length, b.Length];
    }
}
