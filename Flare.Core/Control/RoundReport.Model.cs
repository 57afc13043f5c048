using System.Text.Json.Serialization;

namespace Flare;

public sealed partial record RoundReport
{
    /// <summary>
    /// Whether <see cref="Model"/> and <see cref="State"/> are there: in the report that the stream of rounds hands
    /// out. Those that are kept for long have none, since a model each would take memory without bound: those of
    /// <c>Federation.Rounds</c> and of <c>RunToEndAsync</c>; nor have those read back from a journal, but for the last,
    /// nor those that nobody read at a server while four newer ones came.
    /// </summary>
    [JsonIgnore]
    public bool HasModel => KeptModel is not null;

    /// <summary>The model that the round committed. Frozen; clone it to change it. It stays valid as long as the report
    /// is held.</summary>
    /// <exception cref="InvalidOperationException">The report holds none: <see cref="HasModel"/>.</exception>
    [JsonIgnore]
    public StateDict Model => KeptModel ?? throw Missing("model");

    /// <summary>What the workflow kept beside the model at that round, such as the best model so far.</summary>
    /// <exception cref="InvalidOperationException">The report holds none: <see cref="HasModel"/>.</exception>
    [JsonIgnore]
    public RunState State => KeptState ?? throw Missing("state");

    private StateDict? KeptModel { get; init; }

    private RunState? KeptState { get; init; }

    /// <summary>The report with what the round committed.</summary>
    internal RoundReport Of(StateDict? model, RunState? state) => this with { KeptModel = model, KeptState = state };

    /// <summary>The report for keeping.</summary>
    internal RoundReport WithoutModel() => Of(null, null);

    private InvalidOperationException Missing(string what) => new(
        $"The report of round {Number} holds no {what}. A report has it while the stream of RunAsync hands it out; "
        + "those of Rounds and RunToEndAsync, those read back from a journal, and those of a server that nobody read "
        + "until more than four others had come, have none. Take it in the loop over RunAsync, and keep what you "
        + "need.");
}
