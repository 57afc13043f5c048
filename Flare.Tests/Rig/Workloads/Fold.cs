using Flare.Testing;
using Flare.Tests.Core.Tensors.Exact;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// The oracle: makes a run's models again from nothing but its reports, in rational arithmetic. It shares no code with
/// the runtime and its aggregators.
/// </summary>
internal static class Fold
{
    public const int Width = 6;

    // Most of a model that is to be large, and whose oracle is not to take long.
    private const string Ballast = "ballast";

    public static StateDict InitialModel(int ballast = 0)
    {
        var w = ("w", Enumerable.Range(0, Width).Select(i => i * 0.37f - 1).ToArray());
        return ballast == 0 ? StateDict.Create(w, ("b", [0.5f]))
            : StateDict.Create(w, (Ballast, new float[ballast]), ("b", [0.5f]));
    }

    public static long Steps(string site, int round) => 1 + (long)(Seeds.Derive(1, site, "steps", round) % 9);

    public static double Accuracy(StateDict model) => model["w"].AsReadOnlySpan<float>()[0];

    /// <summary>
    /// What a site contributes: values of many magnitudes, so that a sum in float shows its order, and a pull to zero,
    /// so that the model it was trained from shows.
    /// </summary>
    public static void Diff(string site, int round, StateDict model, StateDict diff)
    {
        var random = new SimulationRandom(Seeds.Derive(2, site, "diff", round));
        for (var t = 0; t < model.Count; t++)
        {
            var from = model[t].AsReadOnlySpan<float>();
            var to = diff[t].AsSpan<float>();
            if (model[t].Name == Ballast)
            {
                // Small multiples of an eighth: their weighted means are exact up to one rounding in double, too.
                var (a, b) = (1 + (uint)random.NextInt32(1 << 20), (uint)random.NextInt32(1 << 20));
                for (var i = 0; i < to.Length; i++) to[i] = ((int)((b + a * (uint)i) % 17) - 8) / 8f;
                continue;
            }
            for (var i = 0; i < to.Length; i++)
            {
                var noise = (float)((random.NextDouble() * 2 - 1) * Math.ScaleB(1, random.NextInt32(24) - 14));
                to[i] = noise - from[i] * 0.125f;
            }
        }
    }

    /// <summary>
    /// A round of federated averaging: the exact weighted mean of the accepted sites' differences, rounded once, added
    /// to the model.
    /// </summary>
    public static StateDict Average(StateDict model, RoundReport report)
    {
        var diffs = Accepted(report).Select(site =>
        {
            var diff = new StateDict(model.Layout);
            Diff(site, report.Number, model, diff);
            return (Weight: (double)Steps(site, report.Number), Diff: diff);
        }).ToArray();
        var next = model.Clone();
        for (var t = 0; t < model.Count; t++)
        {
            var to = next[t].AsSpan<float>();
            if (model[t].Name == Ballast)
            {
                AddMeans(to, diffs, t);
                continue;
            }
            for (var i = 0; i < to.Length; i++)
                to[i] += (float)Oracle.Mean(
                    diffs.Select(d => ((double)d.Diff[t].AsReadOnlySpan<float>()[i], d.Weight)), DType.Float32);
        }
        return next;
    }

    private static void AddMeans(Span<float> to, (double Weight, StateDict Diff)[] diffs, int tensor)
    {
        var sums = new double[to.Length];
        foreach (var (weight, diff) in diffs)
        {
            var from = diff[tensor].AsReadOnlySpan<float>();
            for (var i = 0; i < sums.Length; i++) sums[i] += weight * from[i];
        }
        var weights = diffs.Sum(d => d.Weight);
        for (var i = 0; i < to.Length; i++) to[i] += (float)(sums[i] / weights);
    }

    /// <summary>A round of a relay: the sites train one after the other, each what the one before made of it.</summary>
    public static StateDict PassOn(StateDict model, RoundReport report)
    {
        foreach (var site in Accepted(report))
        {
            var next = new StateDict(model.Layout);
            Diff(site, report.Number, model, next);
            for (var t = 0; t < model.Count; t++)
            {
                var from = model[t].AsReadOnlySpan<float>();
                var to = next[t].AsSpan<float>();
                for (var i = 0; i < to.Length; i++) to[i] = from[i] + to[i];
            }
            model = next;
        }
        return model;
    }

    /// <summary>The sites whose training the report says was used, in the report's order.</summary>
    public static IEnumerable<string> Accepted(RoundReport report) =>
        report.Sites.Where(s => s is { Task: TaskNames.Train, Status: SiteStatus.Accepted }).Select(s => s.Site);

    /// <summary>What is wrong with a run that must have made its model in so many rounds of one kind.</summary>
    public static IEnumerable<string> Check(
        SimulationResult run, int rounds, Func<StateDict, RoundReport, StateDict> round)
    {
        if (!run.Rounds.Select(r => r.Number).SequenceEqual(Enumerable.Range(1, rounds)))
            return [
                $"the rounds announced are {string.Join(", ", run.Rounds.Select(r => r.Number))}, where 1 to "
                    + $"{rounds} were to be"];
        return Check(run, run.Rounds, run.InitialModel, round);
    }

    public static IEnumerable<string> Check(
        SimulationResult run, IEnumerable<RoundReport> reports, StateDict model,
        Func<StateDict, RoundReport, StateDict> round)
    {
        foreach (var report in reports)
        {
            var twice = report.Sites.GroupBy(s => (s.Site, s.Task))
                .FirstOrDefault(g => g.Count(s => s.Status == SiteStatus.Accepted) > 1);
            if (twice is not null)
                yield return $"round {report.Number} accepted the answer "
                    + $"of {twice.Key.Site} to '{twice.Key.Task}' twice";
            model = round(model, report);
            if (report.ModelSha256 == model.Sha256()) continue;
            yield return $"the model of round {report.Number} is not the fold of what its report says was accepted "
                + $"({string.Join(", ", Accepted(report))})";
            yield break;
        }
        if (!run.Model.ContentEquals(model)) yield return "the last model is not the fold of the reports";
    }
}
