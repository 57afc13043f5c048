namespace Flare.Runtime;

/// <summary>
/// Hands out a bounded number of permits for a bounded number of bytes, first come, first served; used on one loop
/// only, so it needs no lock. Two things hold them: a large upload, from its grant until the contribution was consumed,
/// and a running executor, from its start until its result is delivered.
/// </summary>
/// <remarks>
/// One that is above the bytes by itself has its permit once there is no other. Where all permits are held by what is
/// parked (done, and waiting for somebody to take it), a task that holds none gets one all the same: whoever is to take
/// what is parked may well wait for that task first. So there are never more permits out than the capacity and one for
/// each further task that is on its way.
/// </remarks>
/// <typeparam name="TTask">What a holder works for; many holders share one.</typeparam>
/// <typeparam name="THolder">Who holds a permit.</typeparam>
/// <param name="capacity">How many permits there are; at least 1.</param>
/// <param name="budget">How many bytes the permits may be for in all.</param>
/// <param name="bytesOf">The bytes that a holder's permit is for; asked when it is granted.</param>
/// <param name="grant">Tells a holder that it has its permit; again, where it asks again.</param>
/// <param name="taskOf">The task of a holder.</param>
/// <param name="isParked">Whether a holder is done and waits to be taken.</param>
internal sealed class FairGate<TTask, THolder>(
    int capacity, long budget, Func<THolder, long> bytesOf, Action<THolder> grant, Func<THolder, TTask> taskOf,
    Func<THolder, bool> isParked)
    where TTask : class where THolder : class
{
    private readonly Dictionary<THolder, long> _holders = [];
    private readonly LinkedList<THolder> _waiting = new();
    private readonly Dictionary<THolder, LinkedListNode<THolder>> _places = [];
    private readonly Dictionary<TTask, int> _waitingTasks = [];
    private long _bytes;

    /// <summary>
    /// Asks for a permit: it is granted now or later. Asking again repeats a grant, and keeps the place in the queue.
    /// </summary>
    public void Request(THolder holder)
    {
        if (_holders.ContainsKey(holder)) grant(holder); // the first grant was lost
        else if (HasRoomFor(holder)) Grant(holder);
        else if (!_places.ContainsKey(holder))
        {
            _places.Add(holder, _waiting.AddLast(holder));
            _waitingTasks[taskOf(holder)] = _waitingTasks.GetValueOrDefault(taskOf(holder)) + 1;
        }
    }

    /// <summary>Takes a permit without a word where one is held or free; false where none is.</summary>
    public bool TryTake(THolder holder)
    {
        if (_holders.ContainsKey(holder)) return true;
        if (!HasRoomFor(holder)) return false;
        Take(holder);
        return true;
    }

    /// <summary>Who has a permit.</summary>
    public IReadOnlyCollection<THolder> Holders => _holders.Keys;

    /// <summary>Bytes that the permits are for that are out now.</summary>
    public long Bytes => _bytes;

    /// <summary>Whether a holder has its permit.</summary>
    public bool Holds(THolder holder) => _holders.ContainsKey(holder);

    /// <summary>Gives a permit back, or the place in the queue. Without effect where the holder has neither.</summary>
    public void Release(THolder holder)
    {
        Leave(holder);
        if (!_holders.Remove(holder, out var bytes)) return;
        _bytes -= bytes;
        GrantNext();
    }

    /// <summary>A holder is parked now: a task that has no permit may need one.</summary>
    public void OnParked() => GrantNext();

    /// <summary>Gives all permits back.</summary>
    public void ReleaseAll()
    {
        while (_holders.Count > 0)
            foreach (var holder in _holders.Keys.ToArray()) Release(holder);
    }

    private bool HasRoomFor(THolder holder) => Fits(holder) || AreAllParkedBeside(taskOf(holder));

    private bool Fits(THolder holder) =>
        _holders.Count == 0 || (_holders.Count < capacity && bytesOf(holder) <= budget - _bytes);

    private bool AreAllParkedBeside(TTask task)
    {
        foreach (var holder in _holders.Keys)
            if (taskOf(holder).Equals(task) || !isParked(holder)) return false;
        return true;
    }

    private void GrantNext()
    {
        while (_waiting.First is { } next)
        {
            if (!Fits(next.Value))
            {
                if (FirstWithRoom() is not { } task) return;
                while (!taskOf(next.Value).Equals(task)) next = next.Next!;
            }
            Grant(next.Value);
        }
    }

    // By task, of which there are few: ten thousand sites of one may wait.
    private TTask? FirstWithRoom()
    {
        foreach (var task in _waitingTasks.Keys)
            if (AreAllParkedBeside(task)) return task;
        return null;
    }

    private void Grant(THolder holder)
    {
        Take(holder);
        grant(holder);
    }

    private void Take(THolder holder)
    {
        Leave(holder);
        var bytes = bytesOf(holder);
        _holders.Add(holder, bytes);
        _bytes += bytes;
    }

    private void Leave(THolder holder)
    {
        if (!_places.Remove(holder, out var place)) return;
        _waiting.Remove(place);
        if (--_waitingTasks[taskOf(holder)] == 0) _waitingTasks.Remove(taskOf(holder));
    }
}
