namespace Flare;

/// <summary>
/// What a site keeps from task to task of a job: SCAFFOLD's control variate, a model of its own, what compression left
/// out, an optimizer's momentum. <see cref="FLContext.SiteState"/> is where executors and the site's filters find it.
/// <para>It follows the rounds. What a task changes is written before its answer leaves, and counts once the answer is
/// used: a task finds what the site's last used answer left, whether it is in a round that goes on, in one that a
/// server which died has to do again, or at a site that has started again since. A task that failed, was cancelled or
/// whose answer was refused leaves no change, but for <see cref="Lasting"/>, which is never taken back once an answer
/// was about to leave.</para>
/// <para>In memory, and lost with the site's process, unless the site is given a folder. docs/site-state.md has more.
/// Not thread-safe.</para>
/// </summary>
public sealed class SiteState
{
    private readonly SiteStateContent _before;

    /// <summary>A state with nothing in it, as a unit test needs one.</summary>
    public SiteState() : this(SiteStateContent.Empty) { }

    internal SiteState(SiteStateContent before)
    {
        _before = before;
        foreach (var (name, tensors) in before.Tensors) Tensors[name] = tensors;
        (Values, Lasting) = (new FlareMap(before.Values), new FlareMap(before.Lasting));
    }

    /// <summary>The round of the task that left this state; 0 where none has.</summary>
    public int Round => _before.Round;

    /// <summary>
    /// Named tensors. They are frozen when the task has ended: clone them to change them, and set the clone. They stay
    /// the site's: what is also sent must not be handed over (<see cref="StateDict.HandOver"/>).
    /// </summary>
    public IDictionary<string, StateDict> Tensors { get; } =
        new SortedDictionary<string, StateDict>(StringComparer.Ordinal);

    /// <summary>Named values. Maps and lists among them are frozen when the task has ended: replace them.</summary>
    public FlareMap Values { get; set => field = value ?? throw new ArgumentNullException(nameof(value)); }

    /// <summary>
    /// Named values that do not follow the rounds: what has happened once the answer was about to leave, whatever
    /// becomes of it, such as privacy that was spent, or a secret that must not be used twice.
    /// </summary>
    public FlareMap Lasting { get; set => field = value ?? throw new ArgumentNullException(nameof(value)); }

    /// <summary>What the task made of it, frozen; the very same content where it changed nothing.</summary>
    /// <param name="round">The task's round.</param>
    /// <exception cref="FlareException">A value nests too deep.</exception>
    internal SiteStateContent Complete(int round)
    {
        foreach (var (name, tensors) in Tensors)
        {
            if (tensors is null) throw new InvalidOperationException($"The site's state '{name}' is null: remove it.");
            tensors.Freeze().Keep();
        }
        Values.Freeze();
        Lasting.Freeze();
        var isSame = Tensors.Count == _before.Tensors.Count
            && Tensors.All(t => _before.Tensors.TryGetValue(t.Key, out var was) && ReferenceEquals(was, t.Value))
            && Values.ContentEquals(_before.Values) && Lasting.ContentEquals(_before.Lasting);
        return isSame ? _before
            : new(round, new Dictionary<string, StateDict>(Tensors, StringComparer.Ordinal), Values, Lasting);
    }
}

/// <summary>A site's state as a task left it; all frozen.</summary>
internal sealed record SiteStateContent(
    int Round, IReadOnlyDictionary<string, StateDict> Tensors, FlareMap Values, FlareMap Lasting)
{
    public static SiteStateContent Empty { get; } = new(0, new Dictionary<string, StateDict>(), NewMap(), NewMap());

    private static FlareMap NewMap()
    {
        var map = new FlareMap();
        map.Freeze();
        return map;
    }
}
