namespace Flare;

/// <summary>
/// A failure at a site, as it reaches the operator: where it happened and all that is known of the cause.
/// </summary>
public sealed record ErrorRecord
{
    private const string SiteName = "site", TaskName = "task", RoundName = "round";
    private const string TypeName = "type", MessageName = "message", StackName = "stack";

    private const int MaxName = 512;
    private const int MaxMessage = 4 * 1024;
    private const int MaxStack = 16 * 1024;

    /// <summary>The site; filled in by the runtime.</summary>
    public string Site { get; init; } = "";

    /// <summary>The task's name; filled in by the runtime.</summary>
    public string Task { get; init; } = "";

    /// <summary>The round; filled in by the runtime.</summary>
    public int Round { get; init; }

    /// <summary>The exception's type, or the return code.</summary>
    public required string Type { get; init; }

    /// <summary>What happened.</summary>
    public required string Message { get; init; }

    /// <summary>Where in the code, innermost cause last; empty where no exception was thrown.</summary>
    public string Stack { get; init; } = "";

    /// <summary>The exception itself, where it was thrown in this process; it does not travel.</summary>
    internal Exception? Exception { get; init; }

    /// <summary>The same failure: what is known of it, however it got here.</summary>
    public bool Equals(ErrorRecord? other) => other is not null
        && (Site, Task, Round, Type, Message, Stack)
        == (other.Site, other.Task, other.Round, other.Type, other.Message, other.Stack);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Site, Task, Round, Type, Message, Stack);

    /// <summary>The record of an exception.</summary>
    public static ErrorRecord From(Exception exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return new()
        {
            Type = exception.GetType().FullName ?? exception.GetType().Name,
            Message = exception.Message,
            Stack = exception.ToString(),
            Exception = exception,
        };
    }

    /// <summary>One line: <c>site-3, train, round 4: InvalidOperationException: …</c></summary>
    public override string ToString() => $"{Site}, {Task}, round {Round}: {Type}: {Message}";

    internal FlareMap ToMap() => new()
    {
        [SiteName] = Site,
        [TaskName] = Task,
        [RoundName] = Round,
        [TypeName] = Type,
        [MessageName] = Message,
        [StackName] = Stack,
    };

    internal static ErrorRecord FromMap(FlareMap map) => new()
    {
        Site = PlainText.Of(map[SiteName].AsText(), MaxName),
        Task = PlainText.Of(map[TaskName].AsText(), MaxName),
        Round = checked((int)map[RoundName].AsInteger()),
        Type = PlainText.Of(map[TypeName].AsText(), MaxName),
        Message = PlainText.Of(map[MessageName].AsText(), MaxMessage),
        Stack = PlainText.Of(map[StackName].AsText(), MaxStack),
    };
}
