namespace Flare.Outside.Tests;

/// <summary>Answers that several tests' sites give.</summary>
internal static class Answers
{
    /// <summary>A difference that adds a number to every weight, of one step.</summary>
    public static Dxo Plus(StateDict model, float amount)
    {
        var difference = new StateDict(model.Layout);
        difference.Fill(amount);
        return Dxo.WeightDiff(difference).WithMeta(MetaKey.NumStepsCurrentRound, 1);
    }
}
