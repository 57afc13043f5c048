using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>
/// What a component knows while it works on one thing: who and where it is, the task, the peer's public properties, and
/// properties of its own (FLARE: FLContext). A context belongs to one task or event; what is to outlive it has a key
/// with <see cref="PropertyLifetime.Run"/>. Not thread-safe.
/// </summary>
public sealed class FLContext
{
    /// <summary>The <see cref="Identity"/> of the server, which no site may bear.</summary>
    public const string Server = "server";

    private readonly RunSide _side;

    // A handful as a rule, and contexts are made by the dozen in a round: a list that is scanned, without an index.
    private List<ContextProperty>? _own;

    internal FLContext(
        RunSide side, string? peer = null, string? taskName = null, TaskToken? token = null,
        FlareMap? peerProperties = null) =>
        (_side, Peer, TaskName, Token, PeerProperties) = (side, peer, taskName, token, peerProperties ?? Empty);

    private static readonly FlareMap Empty = Frozen();

    /// <summary>Who works here: <c>server</c>, or the site's name.</summary>
    public string Identity => _side.Identity;

    /// <summary>The job's id.</summary>
    public string JobId => _side.JobId;

    /// <summary>The other end of the message at hand, if there is one.</summary>
    public string? Peer { get; }

    /// <summary>The task at hand, if there is one.</summary>
    public string? TaskName { get; }

    /// <summary>The task's token, which the runtime attaches to the answer.</summary>
    public TaskToken? Token { get; }

    /// <summary>The round of the task at hand; 0 outside of rounds.</summary>
    public int Round => Token?.Round ?? 0;

    /// <summary>
    /// What the site keeps from task to task: it is as the site's last used answer left it, and what is changed is
    /// written before the answer leaves. For executors and filters of a site, while they work on a task.
    /// </summary>
    /// <exception cref="InvalidOperationException">The context is none of a task at a site, or the task has
    /// ended.</exception>
    public SiteState SiteState => StateAccess?.State ?? throw new InvalidOperationException(
        "There is no site's state here: executors and filters of a site have it, while they work on a task.");

    internal SiteStateAccess? StateAccess { get; init; }

    /// <summary>The public properties that the peer sent with its message; read-only.</summary>
    public FlareMap PeerProperties { get; }

    /// <summary>The clock of the run.</summary>
    public TimeProvider Time => _side.Time;

    /// <summary>Where to log; the lines are in a scope of <see cref="LogScopes"/> with what the context is about, as
    /// are those that executors, filters and components write with other loggers of the job's factory.</summary>
    public ILogger Logger => Scoped;

    internal ScopedLogger Scoped => _side.Scoped.With(
        _side.IsServer ? Peer : null, TaskName,
        Token?.Round ?? Find(ContextKeys.CurrentRound.Name)?.Value as int? ?? 0);

    /// <summary>Runs heavy arithmetic; the deterministic rig replaces it.</summary>
    public ComputeScheduler Compute => _side.Compute;

    /// <summary>
    /// A seed for this site, task and round, derived from the job's: the same in every repetition of the run, whatever
    /// the number of threads and the order of events.
    /// <para>No source of noise that protects privacy: the server, and whoever else knows the job's seed, computes the
    /// same seed and takes the noise off. Draw such noise from
    /// <see cref="System.Security.Cryptography.RandomNumberGenerator"/>.</para>
    /// </summary>
    /// <param name="purpose">Tells several uses in one task apart.</param>
    public ulong Seed(string purpose = "") => Seeds.Derive(_side.Seed, Identity, TaskName ?? "", Round, purpose);

    /// <summary>
    /// Random numbers from <see cref="Seed"/>: for order, sampling, initial weights; not for noise that protects
    /// privacy.
    /// </summary>
    /// <param name="purpose">Tells several uses in one task apart.</param>
    /// <returns>A generator of its own: two calls for one purpose give the same numbers.</returns>
    public SeededRandom Random(string purpose = "") => new(Seed(purpose));

    /// <summary>A property.</summary>
    /// <exception cref="KeyNotFoundException">It is not set.</exception>
    public T Get<T>(FLContextKey<T> key) =>
        TryGet(key, out var value) ? value
        : throw new KeyNotFoundException($"The context has no property '{key.Name}'.");

    /// <summary>A property, if it is set.</summary>
    public bool TryGet<T>(FLContextKey<T> key, out T value)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (Find(key.Name) is { } property)
        {
            RequireSame(key, property);
            value = (T)property.Value!;
            return true;
        }
        value = default!;
        return false;
    }

    /// <summary>Sets a property.</summary>
    /// <exception cref="FlareException">A property of this name was set with another type, visibility or lifetime; or a
    /// public one holds tensors.</exception>
    public void Set<T>(FLContextKey<T> key, T value)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (Find(key.Name) is { } existing) RequireSame(key, existing);
        if (key.Visibility == PropertyVisibility.Public) PublicValue.From(value);
        var property = new ContextProperty(key.Name, typeof(T), value, key.Visibility, key.Lifetime);
        if (key.Lifetime == PropertyLifetime.Run) _side.Properties.Set(property);
        else if (IndexOf(key.Name) is >= 0 and var index) _own![index] = property;
        else (_own ??= []).Add(property);
    }

    /// <summary>
    /// Tells all components of this side, in the order in which they were added, that something happened.
    /// </summary>
    public void Fire(string eventType) => _side.Events.Fire(eventType, this);

    /// <summary>
    /// Tells the other side: from a site the server, from the server all sites. Events of one sender arrive in the
    /// order in which they were fired, each once. They bypass filters: put nothing in them that a filter must see.
    /// </summary>
    /// <param name="eventType">The event's name, none of <see cref="EventTypes"/>: those are the runtime's.</param>
    /// <param name="data">What it carries; frozen by this call. Read there with
    /// <see cref="ContextKeys.EventData"/>.</param>
    /// <exception cref="ArgumentException">The name is one of the runtime's own events.</exception>
    /// <exception cref="FlareException">The data nests maps or lists deeper than 64, or holds itself.</exception>
    public void FireFederated(string eventType, Shareable data)
    {
        ArgumentException.ThrowIfNullOrEmpty(eventType);
        ArgumentNullException.ThrowIfNull(data);
        if (EventTypes.IsRuntimes(eventType))
        {
            throw new ArgumentException(
                $"'{eventType}' is an event of the runtime, and the other side would take it for the runtime's. Give "
                    + "yours a name of its "
                    + $"own{(eventType == EventTypes.FatalSystemError ? "; Panic stops the job" : "")}.",
                nameof(eventType));
        }
        data.Freeze();
        _side.Events.Outbox?.Send(eventType, data);
    }

    /// <summary>
    /// Stops the job: everything that runs for it is aborted, and the reason reaches the operator. It does not return.
    /// </summary>
    /// <exception cref="FlarePanicException">Always.</exception>
    [DoesNotReturn]
    public void Panic(string reason)
    {
        ArgumentException.ThrowIfNullOrEmpty(reason);
        throw _side.Panic(reason, this);
    }

    /// <summary>The public properties, of the run and of this context; null where there are none.</summary>
    internal FlareMap? PublicProperties()
    {
        var map = _side.Properties.Public();
        if (_own is not null)
            foreach (var property in _own)
                if (property.Visibility == PropertyVisibility.Public)
                    (map ??= [])[property.Name] = PublicValue.From(property.Value);
        return map;
    }

    private ContextProperty? Find(string name) =>
        IndexOf(name) is >= 0 and var index ? _own![index] : _side.Properties.Find(name);

    private int IndexOf(string name)
    {
        for (var i = 0; i < _own?.Count; i++)
            if (_own[i].Name == name) return i;
        return -1;
    }

    private static void RequireSame<T>(FLContextKey<T> key, ContextProperty existing)
    {
        if (existing.Type != typeof(T) || existing.Visibility != key.Visibility || existing.Lifetime != key.Lifetime)
            throw new FlareException(
                ErrorIds.ContextProperty,
                $"The context property '{key.Name}' is {existing.Visibility}, {existing.Lifetime}, of type "
                    + $"{existing.Type.Name}; it cannot be used as {key.Visibility}, {key.Lifetime}, of type "
                    + $"{typeof(T).Name}. Use one key for it everywhere, or another name.");
    }

    private static FlareMap Frozen()
    {
        var map = new FlareMap();
        map.Freeze();
        return map;
    }
}

/// <summary>A context property as it is kept.</summary>
internal sealed record ContextProperty(
    string Name, Type Type, object? Value, PropertyVisibility Visibility, PropertyLifetime Lifetime);
