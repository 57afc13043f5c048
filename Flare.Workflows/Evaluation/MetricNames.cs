namespace Flare.Workflows;

/// <summary>What the usual names of metrics say: which way is better, and what they can be.</summary>
internal static class MetricNames
{
    private static readonly HashSet<string> Falling = new(StringComparer.OrdinalIgnoreCase)
    {
        "loss", "error", "err", "perplexity", "ppl", "mse", "rmse", "mae", "mape", "nll", "bce", "ce", "wer", "cer",
            "eer",
        "fid", "brier", "divergence", "entropy", "crossentropy", "logloss", "hausdorff", "latency", "distance",
    };

    private static readonly HashSet<string> Shares = new(StringComparer.OrdinalIgnoreCase)
    {
        "accuracy", "acc", "auc", "auroc", "f1", "precision", "recall", "dice", "iou", "sensitivity", "specificity",
    };

    /// <summary>
    /// Whether less is better: a loss, an error, a perplexity, in whatever words the name is made of.
    /// </summary>
    public static bool Falls(string name) => Words(name).Any(Falling.Contains);

    /// <summary>
    /// Whether a number can be this metric. A share is at most 100, in percent or not, give or take its rounding; and
    /// whatever it is, nobody measures 10^100. One such number would be the best for good.
    /// </summary>
    public static bool IsPlausible(string name, double value) =>
        Math.Abs(value) <= 1e100 && (Math.Abs(value) <= 101 || !Words(name).Any(Shares.Contains) || Falls(name));

    /// <summary>
    /// The words of a name: <c>val_loss</c>, <c>valLoss</c>, <c>val/loss</c> and <c>val loss</c> have the same two.
    /// </summary>
    private static IEnumerable<string> Words(string name)
    {
        var start = 0;
        for (var i = 1; i <= name.Length; i++)
        {
            var ends = i == name.Length || !char.IsLetterOrDigit(name[i])
                || (char.IsUpper(name[i]) && char.IsLower(name[i - 1]));
            if (!ends) continue;
            var word = name[start..i].Trim('_', '-', '/', '.', ' ', ':');
            start = i;
            if (word.Length > 0) yield return word;
        }
    }
}
