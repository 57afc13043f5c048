namespace Flare.Workflows;

/// <summary>
/// What a round's sites are asked to do, and what they are sent for it. Derive from it to send more, such as a
/// parameter of the algorithm among the data's facts.
/// </summary>
public class RoundTask
{
    /// <summary>The task's name; <c>train</c> unless set.</summary>
    public string Name { get; init; } = TaskNames.Train;

    /// <summary>
    /// The data of a round's task: the global model unless overridden. Named sets of tensors are added to it.
    /// </summary>
    /// <param name="context">The model, the state.</param>
    /// <param name="round">The round.</param>
    public virtual Dxo CreateData(ControllerContext context, int round)
    {
        ArgumentNullException.ThrowIfNull(context);
        return Dxo.Weights(context.Model);
    }
}
