namespace Flare;

/// <summary>The names of a message's headers that the runtime reads or sets.</summary>
public static class HeaderNames
{
    /// <summary>A <see cref="Flare.ReturnCode"/>.</summary>
    public const string ReturnCode = "return_code";
    /// <summary>One of <see cref="ContentTypes"/>.</summary>
    public const string ContentType = "content_type";
    /// <summary>The task's name.</summary>
    public const string TaskName = "task_name";
    /// <summary>The task's id, the same for all its targets.</summary>
    public const string TaskId = "task_id";
    /// <summary>The workflow that the task is of.</summary>
    public const string Workflow = "workflow";
    /// <summary>The round, counted from the workflow's first.</summary>
    public const string CurrentRound = "current_round";
    /// <summary>How many rounds the workflow means to run.</summary>
    public const string NumRounds = "num_rounds";
    /// <summary>A map that the answer brings back.</summary>
    public const string Cookies = "cookies";
    /// <summary>The sender's public context properties.</summary>
    public const string PeerProperties = "peer_props";
    /// <summary>An <see cref="ErrorRecord"/>.</summary>
    public const string Error = "error";
    /// <summary>Whether a learner validates the incoming model before it trains; true unless set.</summary>
    public const string ValidateFirst = "validate_first";
}
