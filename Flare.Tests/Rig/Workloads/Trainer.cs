using Flare.Testing;

namespace Flare.Tests.Rig.Workloads;

/// <summary>
/// A site whose contribution is a pure function of its name, the round and the model that it was given, so that an
/// oracle can make it again. How long it takes, and whether it fails, is up to the seed.
/// </summary>
internal sealed class Trainer(string site, bool handsOver = false) : Executor
{
    public const string Score = "score";

    public override async ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort)
    {
        // Luck changes with time: a job that failed for want of it can succeed when it is started again.
        var mood = new SimulationRandom(context.Seed("mood") ^ (ulong)context.Time.GetTimestamp()).NextUInt64();
        var patience = mood % 40 == 0 ? 3000 : 20 + mood % 600;
        // One in twenty is deaf: it works on whatever it is told.
        await Task.Delay(
            TimeSpan.FromMilliseconds(patience), context.Time, mood / 40 % 20 == 0 ? CancellationToken.None : abort);
        if (mood / 800 % 25 == 0) throw new InvalidOperationException($"{site} has no luck in round {context.Round}");
        var model = Dxo.From(input).Tensors;
        switch (taskName)
        {
            case TaskNames.Train:
                var diff = new StateDict(model.Layout);
                Fold.Diff(site, context.Round, model, diff);
                return Dxo.WeightDiff(handsOver ? diff.HandOver() : diff)
                    .WithMeta(MetaKey.NumStepsCurrentRound, Fold.Steps(site, context.Round)).ToShareable();
            case TaskNames.Validate or Score:
                return Dxo.Metrics(("accuracy", Fold.Accuracy(model))).ToShareable();
            default:
                return Shareable.Reply(ReturnCode.TaskUnknown);
        }
    }
}
