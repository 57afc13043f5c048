using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// Sites that keep a chain in their state: whatever crashes, a task finds what the site's last used answer left. Two
/// workflows, one after the other, each with rounds from 1; validation reads what training of its round wrote.
/// </summary>
internal static class StateWorkload
{
    private const int Rounds = 4;
    private const string Read = "read", Wrote = "wrote";

    public static Simulation Configure(Simulation plan) => plan with
    {
        Sites = 3,
        SitesHaveDisks = true,
        Executor = site => new Chained(new Trainer(site.Name)),
        Controllers = () => [Averaging(), Averaging()],
        Check = Check,
    };

    private static FedAvg Averaging() => new()
    {
        Rounds = Rounds,
        MinSites = 1,
        Grace = TimeSpan.FromSeconds(1),
        TrainTimeout = TimeSpan.FromSeconds(20),
        ValidationTimeout = TimeSpan.FromSeconds(2),
    };

    /// <summary>
    /// What is wrong: a used answer of a site that did not go on from what its used answer before left. It knows
    /// nothing of how that is done: it reads the committed reports.
    /// </summary>
    public static IEnumerable<string> Check(SimulationResult run)
    {
        foreach (var problem in Fold.Check(run, run.Rounds, run.InitialModel, Fold.Average)) yield return problem;
        var left = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var report in run.Rounds)
            foreach (var site in report.Sites.Where(s => s is { Status: SiteStatus.Accepted, Metrics: not null }))
            {
                if (!site.Metrics!.TryGet(Read, out var read)) continue;
                if (read.AsNumber() != left.GetValueOrDefault(site.Site))
                    yield return $"{site.Site} found state {read.AsNumber()} in '{site.Task}' of round {report.Number},"
                        + $" where its used answer before left {left.GetValueOrDefault(site.Site)}";
                if (site.Metrics.TryGet(Wrote, out var wrote)) left[site.Site] = wrote.AsNumber();
            }
    }

    /// <summary>Trains as another does, and adds a link to the chain that its state is.</summary>
    private sealed class Chained(Executor inner) : DelegatingExecutor(inner)
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            var state = context.SiteState;
            var read = state.Values.TryGet("chain", out var chain) ? chain.AsInteger() : 0;
            var tensors = state.Tensors.TryGetValue("chain", out var kept) ? kept[0].AsReadOnlySpan<double>()[0] : 0;
            if (tensors != read) throw new InvalidDataException($"values say {read} and tensors {tensors}");
            var answer = Dxo.From(await base.ExecuteAsync(taskName, input, context, abort));
            if (taskName != TaskNames.Train)
                return Dxo.Metrics(("accuracy", 0), (Read, read)).ToShareable();
            // Of this attempt alone, so that another one's shows; exact as a number.
            var token = context.Token!.Value;
            var wrote = (long)(Seeds.Derive((ulong)read, context.Identity, $"{token.Epoch}", token.Round,
                $"{token.Number} {context.Time.GetTimestamp()}") >> 12);
            state.Values["chain"] = wrote;
            state.Tensors["chain"] = new StateDictBuilder().Add<double>("chain", [wrote]).Build();
            var told = new FlareMap { [Read] = (double)read, [Wrote] = (double)wrote };
            return answer.WithMeta(MetaKey.InitialMetrics, told).ToShareable();
        }
    }
}
