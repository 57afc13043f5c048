using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Executors and models that the tests of federations share.</summary>
internal static class Sites
{
    public static StateDict Model(params float[] values) => StateDict.Create(("w", values));

    /// <summary>Adds a number to every weight, in a number of steps.</summary>
    public static Executor Adding(float amount, long steps = 1) => new Scripted((task, input, _, _) =>
    {
        var model = Dxo.From(input).Tensors;
        if (task == TaskNames.Validate)
            return ValueTask.FromResult(Dxo.Metrics(("accuracy", model[0].AsReadOnlySpan<float>()[0])).ToShareable());
        return ValueTask.FromResult(Diff(model, amount, steps));
    });

    /// <summary>Answers with what a lambda makes of the model.</summary>
    public static Executor Answering(Func<StateDict, Shareable> answer) =>
        new Scripted((_, input, _, _) => ValueTask.FromResult(answer(Dxo.From(input).Tensors)));

    /// <summary>Answers only when the gate opens; an abort ends the wait.</summary>
    public static Executor Gated(Task gate, float amount, long steps = 1, Action? started = null) =>
        new Scripted(async (task, input, _, abort) =>
    {
        if (task == TaskNames.Validate) return Dxo.Metrics(("accuracy", 0)).ToShareable();
        started?.Invoke();
        await gate.WaitAsync(abort);
        return Diff(Dxo.From(input).Tensors, amount, steps);
    });

    /// <summary>Never answers; an abort ends the wait.</summary>
    public static Executor Hanging(Action? started = null) =>
        Gated(new TaskCompletionSource().Task, 0, started: started);

    public static Executor Throwing(string message) =>
        new Scripted((_, _, _, _) => throw new InvalidDataException(message));

    public static Shareable Diff(StateDict model, float amount, long steps = 1)
    {
        var diff = new StateDict(model.Layout);
        diff.Fill(amount);
        return Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound, steps).ToShareable();
    }

    public static float[] Values(this StateDict model, string tensor = "w") =>
        model[tensor].AsReadOnlySpan<float>().ToArray();

    /// <summary>FedAvg that only trains.</summary>
    public static FedAvg Training(int rounds = 1, int minSites = 1, TimeSpan? timeout = null) =>
        new() { Rounds = rounds, MinSites = minSites, Validation = ValidationMode.None, TrainTimeout = timeout,
            Grace = TimeSpan.FromMinutes(5) };

    /// <summary>Runs a federation of sites named site-1 and so on to its end.</summary>
    public static async Task<Federation> RunAsync(Controller workflow, StateDict model, params Executor[] executors) =>
        await RunAsync(workflow, model, _ => { }, executors);

    public static async Task<Federation> RunAsync(
        Controller workflow, StateDict model, Action<FederationBuilder> configure, params Executor[] executors)
    {
        var federation = Federation.InProcess(f =>
        {
            f.AddSites(executors.Length, site => executors[site.Index]).UseController(workflow);
            configure(f);
        });
        await using (federation) await federation.RunToEndAsync(model).WaitAsync(Patience.Long);
        return federation;
    }
}

internal sealed class Scripted(Func<string, Shareable, FLContext, CancellationToken, ValueTask<Shareable>> script) :
    Executor
{
    public override ValueTask<Shareable> ExecuteAsync(
        string taskName, Shareable input, FLContext context, CancellationToken abort) =>
        script(taskName, input, context, abort);
}
