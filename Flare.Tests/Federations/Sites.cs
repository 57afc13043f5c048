namespace Flare.Tests.Federations;

/// <summary>Executors and models that the tests of federations share.</summary>
internal static class Sites
{
    public static StateDict Model(params float[] values) => StateDict.Create(("w", values));

    /// <summary>Adds a number to every weight, in a number of steps.</summary>
    public static Executor Adding(float amount, long steps = 1) => new Scripted((task, input, _, _) =>
    {
        var model = Dxo.From(input).Tensors;
        if (task == TaskNames.Validate) return ValueTask.FromResult(Dxo.Metrics(("accuracy", model["w"].AsReadOnlySpan<float>()[0])).ToShareable());
        var diff = new StateDict(model.Layout);
        diff.Fill(amount);
        return ValueTask.FromResult(Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, steps).ToShareable());
    });
}

internal sealed class Scripted(Func<string, Shareable, FLContext, CancellationToken, ValueTask<Shareable>> script) : Executor
{
    public override ValueTask<Shareable> ExecuteAsync(string taskName, Shareable input, FLContext context, CancellationToken abort) => script(taskName, input, context, abort);
}
