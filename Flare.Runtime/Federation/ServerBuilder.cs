using Flare.Runtime;

namespace Flare;

/// <summary>
/// Describes the server of a job whose sites are elsewhere. Every verb returns the builder. It builds once, and what it
/// has built does not change with it any more.
/// </summary>
/// <example><code>
/// await using var plan = new ServerBuilder()
///     .AddSites("hospital-1", "hospital-2")
///     .UseController(new FedAvg { Rounds = 20 })
///     .UseInitialModel(model)
///     .Build();
/// var server = plan.CreateServer(loop, link);
/// </code></example>
public sealed class ServerBuilder : JobBuilder<ServerBuilder>
{
    private readonly ServerParts _parts = new();
    private readonly List<string> _sites = [];
    private StateDict? _initialModel;
    private bool _isRosterClosed;

    /// <summary>The workflows added so far.</summary>
    public IReadOnlyList<Controller> Controllers => _parts.Controllers;

    /// <summary>Names sites that are known from the start; others may come to them.</summary>
    /// <param name="names">Their names.</param>
    /// <exception cref="ArgumentException">A name is taken, blank, longer than 200 bytes, or has characters that cannot
    /// be seen.</exception>
    public ServerBuilder AddSites(params IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        foreach (var name in names)
        {
            SiteName.Check(name, nameof(names));
            if (name == FLContext.Server)
                throw new ArgumentException(
                    $"The name '{name}' is the server's own, in contexts, logs and events: name the site otherwise.",
                    nameof(names));
            if (_sites.Contains(name, StringComparer.Ordinal))
                throw new ArgumentException(
                    $"The name '{name}' is taken; every site has a name of its own.", nameof(names));
            _sites.Add(name);
        }
        return this;
    }

    /// <summary>Lets only the sites of <see cref="AddSites"/> take part: whoever else says hello is refused, and told
    /// so (<see cref="ErrorIds.SiteRefused"/>). Others may come unless set.</summary>
    public ServerBuilder CloseRoster()
    {
        _isRosterClosed = true;
        return this;
    }

    /// <summary>Sets the first global model; frozen by the server.</summary>
    public ServerBuilder UseInitialModel(StateDict model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _initialModel = model;
        return this;
    }

    /// <summary>Adds a workflow; several run one after the other.</summary>
    public ServerBuilder UseController(Controller controller)
    {
        _parts.Add(controller);
        return this;
    }

    /// <summary>Has workflows aggregate with what an extension provides; such a one also checks every workflow's
    /// <see cref="Controller.PlaintextAccess"/>.</summary>
    /// <param name="make">Called for every run of a workflow, which disposes of what it made.</param>
    public ServerBuilder UseAggregator(Func<Aggregator> make)
    {
        _parts.UseAggregator(make);
        return this;
    }

    /// <summary>Adds a filter behind those that are there; it sees the server's events.</summary>
    /// <param name="place"><see cref="FilterPlace.ServerOut"/> or <see cref="FilterPlace.ServerIn"/>.</param>
    /// <param name="filter">The filter; it stays the caller's.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    public ServerBuilder AddServerFilter(FilterPlace place, Filter filter, params string[] tasks)
    {
        _parts.Add(place, filter, tasks);
        return this;
    }

    /// <summary>Adds a component that sees the server's events. It stays the caller's.</summary>
    public ServerBuilder AddServerComponent(FLComponent component)
    {
        _parts.Add(component);
        return this;
    }

    /// <summary>Keeps a journal in a directory: every round is on disk before it is announced, and a job that died goes
    /// on after its last one.</summary>
    /// <param name="directory">Created if it does not exist. One job a directory.</param>
    public ServerBuilder UseJournal(string directory)
    {
        _parts.UseJournal(directory);
        return this;
    }

    /// <summary>Keeps a journal in a storage of the application's own, which what is built takes over and disposes
    /// of.</summary>
    public ServerBuilder UseJournal(IJournalStorage storage)
    {
        _parts.UseJournal(storage);
        return this;
    }

    /// <summary>Puts the server together. Once.</summary>
    /// <exception cref="FlareException">The configuration is incomplete or contradicts itself; the message lists
    /// everything that is wrong. What the builder has taken over is disposed of.</exception>
    /// <exception cref="InvalidOperationException">The builder has built already.</exception>
    public ServerPlan Build() => Building(() =>
    {
        BeginBuild("server");
        return new ServerPlan(Settings, _parts.Copy(), [.. _sites], _initialModel!, _isRosterClosed);
    });

    private protected override void Configure(IFederationExtension extension) =>
        extension.Configure(new ServerHalf(this, _parts, isInProcess: false));

    private protected override IEnumerable<string> Faults()
    {
        if (_initialModel is null) yield return "there is no initial model; call UseInitialModel";
        if (_isRosterClosed && _sites.Count == 0)
            yield return "the roster is closed and has no site; call AddSites, or leave CloseRoster out";
        foreach (var error in _parts.Validate(_sites.Count > 0 ? _sites.Count : null)) yield return error;
    }

    private protected override int CountSites() => _sites.Count;

    private protected override IEnumerable<object> TakenOver() => _parts.Journal?.Unopened() ?? [];
}
