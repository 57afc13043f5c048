namespace Flare;

/// <summary>
/// Work for sites (FLARE: Task): a name, data, a round, and what an answer must be like to be admitted.
/// </summary>
public sealed class FlareTask
{
    /// <summary>Describes a task.</summary>
    /// <param name="name">What the executors are to do.</param>
    /// <param name="round">The round; 0 outside of rounds.</param>
    /// <param name="data">The data; frozen by this call and shared by all targets.</param>
    /// <exception cref="FlareException">The data nests maps or lists deeper than 64, or holds itself.</exception>
    public FlareTask(string name, int round, Shareable data)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfNegative(round);
        ArgumentNullException.ThrowIfNull(data);
        (Name, Round, Data) = (name, round, data.Freeze());
    }

    /// <summary>The task's name.</summary>
    public string Name { get; }

    /// <summary>The round.</summary>
    public int Round { get; }

    /// <summary>The data that every target gets; frozen.</summary>
    public Shareable Data { get; }

    /// <summary>What an answer must be like. The default admits any answer with finite tensors.</summary>
    public ResultContract Contract { get; init; } = new();

    /// <summary>A task to train a model; answers are weights or weight differences of the model's layout.</summary>
    /// <param name="round">The round.</param>
    /// <param name="model">The global model; frozen by this call.</param>
    /// <param name="kinds">The kinds of answer admitted; both <see cref="DataKind.WeightDiff"/> and
    /// <see cref="DataKind.Weights"/> if left out.</param>
    public static FlareTask Train(int round, StateDict model, params DataKind[] kinds)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(TaskNames.Train, round, Dxo.Weights(model).ToShareable())
        {
            Contract = new() { Kinds = kinds is { Length: > 0 } ? kinds
                : [DataKind.WeightDiff, DataKind.Weights], Layout = model.Layout, Base = model },
        };
    }

    /// <summary>A task to measure a model; answers are metrics.</summary>
    /// <param name="round">The round.</param>
    /// <param name="model">The model to measure; frozen by this call.</param>
    public static FlareTask Validate(int round, StateDict model) =>
        new(TaskNames.Validate, round, Dxo.Weights(model)
            .ToShareable()) { Contract = new() { Kinds = [DataKind.Metrics] } };
}
