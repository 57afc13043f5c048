namespace Flare.Runtime;

/// <summary>What a record of the log says. The numbers are part of the file format and never change.</summary>
internal enum JournalRecordType : byte
{
    /// <summary>The first record: which job this is.</summary>
    JobStarted = 1,
    /// <summary>A server opened the journal; its epoch.</summary>
    ServerStarted = 2,
    /// <summary>A round is done: its report, values and snapshots.</summary>
    RoundCommitted = 3,
    /// <summary>A workflow is done.</summary>
    WorkflowCompleted = 4,
    /// <summary>The job is done.</summary>
    JobCompleted = 5,
}
