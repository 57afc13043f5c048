namespace Flare;

/// <summary>A task's way to the site's state, which is made for those tasks alone that ask for it.</summary>
internal sealed class SiteStateAccess(SiteStateContent before)
{
    private SiteState? _state;
    private volatile bool _isClosed;

    /// <summary>A unit test's own state.</summary>
    public SiteStateAccess(SiteState state) : this(SiteStateContent.Empty) => _state = state;

    /// <summary>The state.</summary>
    /// <exception cref="InvalidOperationException">The task has ended.</exception>
    public SiteState State => _isClosed
        ? throw new InvalidOperationException("The task has ended: what it left of the site's state is written.")
        : _state ??= new SiteState(before);

    /// <summary>The task has ended, and leaves no change.</summary>
    public void Abandon() => _isClosed = true;

    /// <summary>The task has ended. What it made of the state; null where it changed nothing.</summary>
    public SiteStateContent? Close(int round)
    {
        _isClosed = true;
        return _state?.Complete(round) is { } after && !ReferenceEquals(after, before) ? after : null;
    }
}
