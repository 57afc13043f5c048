namespace Flare;

/// <summary>The names of the tasks that Flare's own workflows send (FLARE's names).</summary>
/// <remarks><see cref="GetWeights"/> is sent by none so far; the name is reserved for what FLARE means by it.</remarks>
public static class TaskNames
{
    /// <summary>Train the model that the task brings; answered with weights or a weight difference.</summary>
    public const string Train = "train";
    /// <summary>Measure the model that the task brings; answered with metrics.</summary>
    public const string Validate = "validate";
    /// <summary>Hand in the site's own model; answered with weights.</summary>
    public const string SubmitModel = "submit_model";
    /// <summary>Hand in initial weights.</summary>
    public const string GetWeights = "get_weights";
}
