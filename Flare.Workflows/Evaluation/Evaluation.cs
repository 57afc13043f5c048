namespace Flare.Workflows;

/// <summary>
/// How a round's new model is measured. By the sites, on their own data, unless a workflow is given another: derive
/// from it to measure at the server, for instance.
/// </summary>
public abstract class Evaluation
{
    /// <summary>A run of the workflow begins: what an instance remembers of another is forgotten.</summary>
    public virtual void Begin() { }

    /// <summary>
    /// Measures a model. Called on the job's loop; heavy arithmetic goes through the compute scheduler.
    /// </summary>
    /// <param name="context">The verbs.</param>
    /// <param name="round">The round whose model it is.</param>
    /// <param name="model">The model; not to be changed.</param>
    /// <param name="sites">The round's sites.</param>
    /// <param name="abort">Aborts the measuring.</param>
    public abstract Task<Measurement> MeasureAsync(
        ControllerContext context, int round, StateDict model, IReadOnlyList<string> sites, CancellationToken abort);
}
