namespace Flare.Transport;

/// <summary>What an <see cref="ExternalExecutor"/> waits for, and takes, at most.</summary>
public sealed record ExternalOptions
{
    /// <summary>
    /// How long a task waits for a process that is not connected: before it is given, and again where the process has
    /// gone in the midst of it; then it fails in words. At most a day; 30 s unless set.
    /// </summary>
    public TimeSpan ProcessTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How often a task is given: again each time that the process goes away before it has answered, so at least 1. 3
    /// unless set; then the task fails in words, since it may well be what the process dies of.
    /// </summary>
    public int MaxAttempts { get; init; } = 3;

    /// <summary>
    /// How long the process may take for its answer, each time that it is given the task; then it is told to leave it
    /// and the task fails in words. At most a day, or infinite, as it is unless set: the server's own bound on tasks
    /// holds anyway.
    /// </summary>
    public TimeSpan TaskTimeout { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>
    /// Bytes of tensors that an answer may have; twice those of its task and 64 MiB more unless set. Memory is taken
    /// once they are known to be within it.
    /// </summary>
    public long? MaxAnswerBytes { get; init; }

    /// <summary>
    /// The limits of the connection. Unless set, the defaults but for 1 MiB before a stream's content, where the names
    /// and shapes of a model's tensors stand.
    /// </summary>
    public FrameOptions Frames { get; init; } = new() { MaxStreamHeadBytes = 1 << 20, PaceSending = false };

    /// <summary>Everything that is wrong with these options; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (var error in Frames.Validate()) yield return error;
        if (Times.Fault(nameof(ProcessTimeout), ProcessTimeout) is { } fault) yield return fault;
        if (MaxAttempts < 1) yield return $"{nameof(MaxAttempts)} is {MaxAttempts}; it must be at least 1";
        if (TaskTimeout != Timeout.InfiniteTimeSpan
            && Times.Fault(nameof(TaskTimeout), TaskTimeout) is { } wrong) yield return $"{wrong}, or infinite";
        if (MaxAnswerBytes < 0)
            yield return $"{nameof(MaxAnswerBytes)} is {MaxAnswerBytes}; it must not be negative";
    }

    internal ExternalOptions Checked()
    {
        var errors = string.Join("; ", Validate());
        return errors.Length == 0 ? this
            : throw new FlareException(ErrorIds.Configuration, $"Options of an external executor: {errors}.");
    }
}
