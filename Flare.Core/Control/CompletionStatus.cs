namespace Flare;

/// <summary>How a task ended (FLARE: TaskCompletionStatus).</summary>
public enum CompletionStatus
{
    /// <summary>Still running.</summary>
    Running = 0,
    /// <summary>The answers asked for were admitted.</summary>
    Ok = 1,
    /// <summary>The time ran out; what was admitted until then counts.</summary>
    Timeout = 2,
    /// <summary>Too few answers could be admitted.</summary>
    Error = 3,
    /// <summary>The workflow cancelled it.</summary>
    Cancelled = 4,
    /// <summary>The job was aborted.</summary>
    Aborted = 5,
    /// <summary>The only site that held it was lost.</summary>
    SiteLost = 6,
}
