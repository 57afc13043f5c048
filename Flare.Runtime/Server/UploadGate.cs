namespace Flare.Runtime;

/// <summary>
/// Hands out a bounded number of upload permits, first come, first served. A permit is held from its grant until the contribution has been
/// consumed, or the assignment has ended without one.
/// </summary>
/// <remarks>
/// Where all permits are held by admitted answers that the workflow has not read, a task that holds none gets one all the same: the workflow may
/// well wait for that task before it reads the others. So there are never more than the capacity and one for each further task that is on its way.
/// </remarks>
internal sealed class UploadGate(int capacity, Action<Assignment> grant)
{
    private readonly HashSet<Assignment> _holders = [];
    private readonly LinkedList<Assignment> _waiting = new();
    private readonly Dictionary<Assignment, LinkedListNode<Assignment>> _places = [];
    private readonly Dictionary<TaskRun, int> _waitingRuns = [];

    public void Request(Assignment assignment)
    {
        if (_holders.Contains(assignment)) grant(assignment); // the first grant was lost
        else if (HasRoomFor(assignment.Run)) Grant(assignment);
        else if (!_places.ContainsKey(assignment))
        {
            _places.Add(assignment, _waiting.AddLast(assignment));
            _waitingRuns[assignment.Run] = _waitingRuns.GetValueOrDefault(assignment.Run) + 1;
        }
    }

    /// <summary>For a result that is here already: takes a permit if it has none and one is free. False if none is.</summary>
    public bool TryTake(Assignment assignment)
    {
        if (_holders.Contains(assignment)) return true;
        if (!HasRoomFor(assignment.Run)) return false;
        Leave(assignment);
        return _holders.Add(assignment);
    }

    /// <summary>Gives a permit back, or the place in the queue. Without effect where the assignment has neither.</summary>
    public void Release(Assignment assignment)
    {
        Leave(assignment);
        if (_holders.Remove(assignment)) GrantNext();
    }

    /// <summary>An answer was admitted and waits to be read.</summary>
    public void OnDelivered() => GrantNext();

    /// <summary>Gives all permits back.</summary>
    public void ReleaseAll()
    {
        while (_holders.Count > 0)
            foreach (var holder in _holders.ToArray()) Release(holder);
    }

    private bool HasRoomFor(TaskRun run) =>
        _holders.Count < capacity || _holders.All(h => h.Run != run && h.Contribution is not null);

    private void GrantNext()
    {
        while (_waiting.First is { } next)
        {
            if (_holders.Count >= capacity)
            {
                // By task, of which there are few: ten thousand sites of one may wait.
                if (_waitingRuns.Keys.FirstOrDefault(HasRoomFor) is not { } run) return;
                while (next.Value.Run != run) next = next.Next!;
            }
            Grant(next.Value);
        }
    }

    private void Grant(Assignment assignment)
    {
        Leave(assignment);
        _holders.Add(assignment);
        grant(assignment);
    }

    private void Leave(Assignment assignment)
    {
        if (!_places.Remove(assignment, out var place)) return;
        _waiting.Remove(place);
        if (--_waitingRuns[assignment.Run] == 0) _waitingRuns.Remove(assignment.Run);
    }
}
