namespace Flare.Runtime;

/// <summary>
/// Bugs that the rig's own tests switch on, to see that the rig finds them. Nothing outside of Flare's tests can.
/// </summary>
[Flags]
internal enum PlantedFaults
{
    None = 0,
    /// <summary>A site's second result for a task is admitted like its first.</summary>
    NoDuplicateCheck = 1,
    /// <summary>A result for a task that has ended is admitted to the task of the same name that runs now.</summary>
    StaleRoundAccepted = 2,
    /// <summary>A round is announced before it is durable.</summary>
    AnnounceBeforeFlush = 4,
    /// <summary>A site that finishes a task does not look whether another one came meanwhile.</summary>
    LostWakeup = 8,
    /// <summary>The upload permit of a task that ended before its result arrived is not taken back.</summary>
    LeakedUploadPermit = 16,
}
