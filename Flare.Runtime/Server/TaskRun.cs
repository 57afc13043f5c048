using System.Threading.Channels;

namespace Flare.Runtime;

/// <summary>A task on its way to its targets and back: decides when it is complete.</summary>
internal sealed class TaskRun
{
    private const int StandingKept = 512;

    private readonly JobServer _server;
    private readonly Channel<Assignment> _accepted = Channel.CreateUnbounded<Assignment>(new() { SingleReader = true, SingleWriter = true });
    private readonly int _minimum;
    private readonly bool _standing;
    private readonly TimeSpan _grace;
    private readonly LoopTimer? _deadline;
    private LoopTimer? _graceTimer;
    private int _acceptedCount;
    private int _pendingCount;
    private bool _lost;

    /// <param name="server">The job.</param>
    /// <param name="task">The task.</param>
    /// <param name="id">The task's id, the same for all targets.</param>
    /// <param name="minimum">Answers needed.</param>
    /// <param name="grace">Time for more once the minimum is reached.</param>
    /// <param name="timeout">Time for the whole task; null for no limit.</param>
    /// <param name="standing">Whether the task goes on until it is cancelled, whatever is answered.</param>
    public TaskRun(JobServer server, FlareTask task, string id, int minimum, TimeSpan grace, TimeSpan? timeout, bool standing = false)
    {
        (_server, Task, Id, _minimum, _grace, _standing) = (server, task, id, minimum, grace, standing);
        if (timeout is { } time) _deadline = server.After(time, () => Complete(CompletionStatus.Timeout, $"the task's time of {time} ran out"));
    }

    public FlareTask Task { get; }
    public string Id { get; }
    public string Workflow { get; init; } = "";

    /// <summary>Whether sites that join later get the task too; only a standing task can.</summary>
    public bool IncludesNewcomers { get; init; }
    public List<Assignment> Assignments { get; } = [];
    public CompletionStatus Status { get; private set; }
    public bool IsComplete => Status != CompletionStatus.Running;
    public bool IsStanding => _standing;
    public ChannelReader<Assignment> Accepted => _accepted.Reader;
    public int Minimum => _minimum;

    public IReadOnlyList<SiteOutcome> Outcomes() => [.. Assignments.Select(a => a.Outcome(_server.Time))];

    public bool IsOk => _acceptedCount >= _minimum;

    public void Add(Assignment assignment)
    {
        // A standing task goes on for as long as its job: of what has ended it keeps the newest.
        if (_standing && Assignments.Count >= 2 * Math.Max(StandingKept, _pendingCount)) Assignments.RemoveAll(a => a.IsFinal && a.Contribution is null);
        Assignments.Add(assignment);
        _pendingCount++;
    }

    /// <summary>An assignment was admitted: the controller may have it.</summary>
    public void Deliver(Assignment assignment) => _accepted.Writer.TryWrite(assignment);

    /// <summary>Keeps count of what has ended how; ten thousand targets are not counted anew for every answer.</summary>
    public void OnStatus(SiteStatus before, SiteStatus after)
    {
        if (before == SiteStatus.Pending) _pendingCount--;
        if (before == SiteStatus.Accepted) _acceptedCount--;
        if (after == SiteStatus.Accepted) _acceptedCount++;
        if (after == SiteStatus.Lost) _lost = true;
        Evaluate();
    }

    /// <summary>Looks whether the task is complete.</summary>
    public void Evaluate()
    {
        if (IsComplete || _standing) return;
        if (_acceptedCount < _minimum && _graceTimer is not null)
        {
            // The workflow has refused what had reached the minimum: its grace has not begun.
            _graceTimer.Dispose();
            _graceTimer = null;
        }
        if (_acceptedCount >= _minimum && _pendingCount == 0) Complete(CompletionStatus.Ok, "");
        else if (_acceptedCount + _pendingCount < _minimum) Complete(_lost && Assignments.Count == 1 ? CompletionStatus.SiteLost : CompletionStatus.Error, "the minimum of responses cannot be reached any more");
        else if (_acceptedCount >= _minimum && _graceTimer is null) _graceTimer = _server.After(_grace, () => Complete(CompletionStatus.Ok, $"the minimum was reached and the grace period of {_grace} is over"));
    }

    public void Complete(CompletionStatus status, string reason)
    {
        if (IsComplete) return;
        Status = status;
        _deadline?.Dispose();
        _graceTimer?.Dispose();
        var end = status is CompletionStatus.Cancelled or CompletionStatus.Aborted or CompletionStatus.Error or CompletionStatus.SiteLost ? SiteStatus.Cancelled : SiteStatus.TimedOut;
        if (_pendingCount > 0)
            foreach (var assignment in Assignments)
                if (!assignment.IsFinal) _server.Withdraw(assignment, end, reason);
        _accepted.Writer.TryComplete();
        _server.Finished(this);
    }
}
