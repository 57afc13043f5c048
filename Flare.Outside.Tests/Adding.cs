namespace Flare.Outside.Tests;

/// <summary>Adds a number to every weight, in one step, and measures the first one as the loss.</summary>
internal sealed class Adding(float amount) : Learner
{
    protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
    {
        var difference = new StateDict(model.Tensors.Layout);
        difference.Fill(amount);
        return ValueTask.FromResult(Dxo.WeightDiff(difference).WithMeta(MetaKey.NumStepsCurrentRound, 1));
    }

    protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort) =>
        ValueTask.FromResult(Dxo.Metrics(("loss", model.Tensors["w"].AsReadOnlySpan<float>()[0])));
}
