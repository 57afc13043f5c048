using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// Federated events in both directions. Of one start of the sender, one start of the receiver sees a part without gaps,
/// in order, each once.
/// </summary>
internal static class EventsWorkload
{
    private const string Ping = "ping";
    private const int Rounds = 4;

    public static Simulation Configure(Simulation plan)
    {
        List<string> failures = [];
        var starts = 0;
        return plan with
        {
            Sites = 3,
            Executor = site => new Trainer(site.Name),
            Controllers = () =>
            [new FedAvg { Rounds = Rounds, MinSites = 1, Grace = TimeSpan.FromSeconds(1),
                TrainTimeout = TimeSpan.FromSeconds(20), Validation = ValidationMode.None }],
            ConfigureSite = (site, info) =>
            site.AddComponent(new Pinger(info.Name, ++starts, EventTypes.BeforeTaskExecution, failures)),
            ConfigureServer = options =>
            options with { Components =
                [.. options.Components, new Pinger("server", ++starts, EventTypes.RoundStarted, failures)] },
            Check = run => Fold.Check(run, Rounds, Fold.Average).Concat(failures),
        };
    }

    /// <summary>Sends numbered events, three at a time, and follows the numbers of everyone else's.</summary>
    private sealed class Pinger(string name, int start, string trigger, List<string> failures) : FLComponent
    {
        private readonly Dictionary<(string Origin, long Start), long> _seen = [];
        private long _sent;

        protected internal override void HandleEvent(string eventType, FLContext context)
        {
            if (eventType == trigger)
                for (var i = 0; i < 3; i++)
                    context.FireFederated(Ping, new Shareable(new() { ["start"] = start, ["number"] = ++_sent }));
            if (eventType != Ping) return;
            var data = context.Get(ContextKeys.EventData).Body;
            var origin = (context.Get(ContextKeys.EventOrigin), data["start"].AsInteger());
            var number = data["number"].AsInteger();
            if (_seen.TryGetValue(origin, out var last) && number != last + 1)
                failures.Add($"{name} (start {start}) saw event {number} of {origin} after event {last}");
            _seen[origin] = number;
        }
    }
}
