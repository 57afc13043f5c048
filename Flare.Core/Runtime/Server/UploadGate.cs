namespace Flare.Runtime;

/// <summary>
/// Hands out a bounded number of upload permits, first come, first served. A permit is held from its grant until the contribution has been
/// consumed, or the assignment has ended without one.
/// </summary>
internal sealed class UploadGate(int capacity, Action<Assignment> grant)
{
    private readonly HashSet<Assignment> _holders = [];
    private readonly LinkedList<Assignment> _waiting = new();
    private readonly Dictionary<Assignment, LinkedListNode<Assignment>> _places = [];

    public int Held => _holders.Count;

    public void Request(Assignment assignment)
    {
        if (_holders.Contains(assignment)) grant(assignment); // the first grant was lost
        else if (_holders.Count < capacity) Grant(assignment);
        else if (!_places.ContainsKey(assignment)) _places.Add(assignment, _waiting.AddLast(assignment));
    }

    /// <summary>For a result that is here already: takes a permit if it has none and one is free. False if none is.</summary>
    public bool TryTake(Assignment assignment)
    {
        if (_holders.Contains(assignment)) return true;
        if (_holders.Count >= capacity) return false;
        if (_places.Remove(assignment, out var place)) _waiting.Remove(place);
        return _holders.Add(assignment);
    }

    /// <summary>Gives a permit back, or the place in the queue. Without effect where the assignment has neither.</summary>
    public void Release(Assignment assignment)
    {
        if (_places.Remove(assignment, out var place)) _waiting.Remove(place);
        if (!_holders.Remove(assignment) || _waiting.First is not { } next) return;
        _waiting.Remove(next);
        _places.Remove(next.Value);
        Grant(next.Value);
    }

    /// <summary>Gives all permits back.</summary>
    public void ReleaseAll()
    {
        while (_holders.Count > 0)
            foreach (var holder in _holders.ToArray()) Release(holder);
    }

    private void Grant(Assignment assignment)
    {
        _holders.Add(assignment);
        grant(assignment);
    }
}
