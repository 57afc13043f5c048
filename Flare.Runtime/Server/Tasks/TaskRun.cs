using System.Threading.Channels;

namespace Flare.Runtime;

/// <summary>
/// A task on its way to its targets and back: who holds it, how many have answered, and what follows from that. It
/// decides nothing by itself; the
/// <see cref="Dispatcher"/> asks it after every change.
/// </summary>
internal sealed class TaskRun(FlareTask task, string id, string workflow, int minimum, TimeSpan grace)
{
    private const int StandingKept = 512;

    private readonly Channel<Assignment> _accepted =
        Channel.CreateUnbounded<Assignment>(new() { SingleReader = true, SingleWriter = true });
    private int _acceptedCount;
    private int _pendingCount;
    private bool _lost;

    public FlareTask Task => task;

    /// <summary>The task's id, the same for all targets.</summary>
    public string Id => id;

    public string Workflow => workflow;

    /// <summary>Answers needed. An operator who lets a round go on without somebody lowers it.</summary>
    public int Minimum { get; private set; } = minimum;

    /// <summary>Time for more answers once the minimum is reached.</summary>
    public TimeSpan Grace => grace;

    /// <summary>Whether the task goes on until it is cancelled, whatever is answered.</summary>
    public bool IsStanding { get; init; }

    /// <summary>Whether sites that join later get the task too; only a standing task can.</summary>
    public bool IncludesNewcomers { get; init; }

    public long StartedAt { get; init; }

    public List<Assignment> Assignments { get; } = [];
    public CompletionStatus Status { get; private set; }
    public bool IsComplete => Status != CompletionStatus.Running;
    public ChannelReader<Assignment> Accepted => _accepted.Reader;
    public int AcceptedCount => _acceptedCount;
    public bool HasEnough => _acceptedCount >= Minimum;
    public bool HasPending => _pendingCount > 0;

    /// <summary>The time for the whole task.</summary>
    public LoopTimer? Deadline { get; set; }

    /// <summary>The time for more answers; null while the minimum is not reached.</summary>
    public LoopTimer? GraceTimer { get; set; }

    /// <summary>Says from time to time whom the task waits for.</summary>
    public LoopTimer? Reminder { get; set; }

    public IReadOnlyList<SiteOutcome> Outcomes(TimeProvider time) => [.. Assignments.Select(a => a.Outcome(time))];

    public void Add(Assignment assignment)
    {
        // A standing task goes on for as long as its job: of what has ended it keeps the newest.
        if (IsStanding && Assignments.Count >= 2 * Math.Max(StandingKept, _pendingCount))
            Assignments.RemoveAll(a => a.IsFinal && a.Contribution is null);
        Assignments.Add(assignment);
        _pendingCount++;
    }

    /// <summary>An assignment was admitted: the controller may have it.</summary>
    public void Deliver(Assignment assignment) => _accepted.Writer.TryWrite(assignment);

    /// <summary>
    /// Keeps count of what has ended how: ten thousand targets are not counted anew for every answer.
    /// </summary>
    public void Count(SiteStatus before, SiteStatus after)
    {
        if (before == SiteStatus.Pending) _pendingCount--;
        if (before == SiteStatus.Accepted) _acceptedCount--;
        if (after == SiteStatus.Accepted) _acceptedCount++;
        if (after == SiteStatus.Lost) _lost = true;
    }

    /// <summary>An operator lets the task go on without some of those that it waits for.</summary>
    public void LowerMinimum(int without) =>
        Minimum = Math.Max(Math.Min(Minimum, 1), Math.Min(Minimum, _acceptedCount + _pendingCount - without));

    /// <summary>
    /// How the task ends by what has been answered so far; <see cref="CompletionStatus.Running"/> where it goes on.
    /// </summary>
    public CompletionStatus Judge()
    {
        if (IsStanding) return CompletionStatus.Running;
        if (HasEnough) return HasPending ? CompletionStatus.Running : CompletionStatus.Ok;
        if (_acceptedCount + _pendingCount >= Minimum) return CompletionStatus.Running;
        return _lost && Assignments.Count == 1 ? CompletionStatus.SiteLost : CompletionStatus.Error;
    }

    /// <summary>The task is over; its answers end.</summary>
    public void Complete(CompletionStatus status)
    {
        Status = status;
        Deadline?.Dispose();
        GraceTimer?.Dispose();
        Reminder?.Dispose();
    }

    /// <summary>Nothing more will be delivered.</summary>
    public void EndStream() => _accepted.Writer.TryComplete();
}
