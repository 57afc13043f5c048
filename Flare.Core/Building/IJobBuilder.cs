namespace Flare;

/// <summary>What an extension finds at a server and at sites that are being built.</summary>
public interface IJobBuilder
{
    /// <summary>Whether one builder builds the server and all of its sites, in this process.</summary>
    bool IsInProcess { get; }

    /// <summary>How many sites were added so far; of a server alone, those that are known from the start, to which
    /// others may come; 1 of a site alone.</summary>
    int SiteCount { get; }

    /// <summary>Adds a check of the whole configuration. It changes nothing and runs when all is put together: it
    /// returns what is wrong, and what to do about it.</summary>
    /// <param name="check">Returns what is wrong; nothing where all is well.</param>
    /// <param name="errorId">The id of the error that the configuration is then refused with. Where several checks find
    /// something, the first id that is not <see cref="ErrorIds.Configuration"/> counts; the message lists
    /// everything.</param>
    void AddCheck(Func<IEnumerable<string>> check, string errorId = ErrorIds.Configuration);

    /// <summary>Adds an object that the application finds again by its type, as <c>Feature&lt;T&gt;()</c> of what is
    /// built.</summary>
    /// <typeparam name="T">What it is looked up by.</typeparam>
    /// <param name="feature">The object.</param>
    /// <param name="owned">Whether what is built disposes of it, when it is itself disposed of.</param>
    /// <exception cref="InvalidOperationException">There is one of the type already.</exception>
    void AddFeature<T>(T feature, bool owned = false) where T : class;

    /// <summary>
    /// States a policy that the server and every site must hold in common: a site that states another, or none, is
    /// refused at its hello, before anything of it leaves (<see cref="ErrorIds.SiteRefused"/>). Call it from both
    /// halves.
    /// </summary>
    /// <param name="fingerprint">Names the policy, such as <c>encryption 3fa9</c>; called when the server or the site
    /// is made. What is said of several is compared together, in whatever order they came.</param>
    void RequirePolicy(Func<string> fingerprint);

    /// <summary>Says how the extension is set, for the line of the log that names all options at the start.</summary>
    /// <param name="name">What is described, such as <c>encryption</c>.</param>
    /// <param name="describe">The settings in words, without secrets; called when the server or the site
    /// starts.</param>
    void Describe(string name, Func<string> describe);
}

/// <summary>A server that is being built, as an extension sees it.</summary>
public interface IServerBuilder : IJobBuilder
{
    /// <summary>The workflows added so far.</summary>
    IReadOnlyList<Controller> Controllers { get; }

    /// <summary>Whether the job keeps a journal, so that another process may have to go on with it.</summary>
    bool KeepsJournal { get; }

    /// <summary>Has workflows aggregate with what the extension provides, which then also checks every workflow's
    /// <see cref="Controller.PlaintextAccess"/>.</summary>
    /// <param name="make">Called for every run of a workflow, which disposes of what it made.</param>
    void UseAggregator(Func<Aggregator> make);

    /// <summary>Adds a filter of the server behind those that are there; it sees the server's events.</summary>
    /// <param name="place"><see cref="FilterPlace.ServerOut"/> or <see cref="FilterPlace.ServerIn"/>.</param>
    /// <param name="filter">The filter; it stays its maker's, who disposes of it.</param>
    /// <param name="tasks">The tasks that it is for; none for all.</param>
    void AddServerFilter(FilterPlace place, Filter filter, params string[] tasks);

    /// <summary>Adds a component that sees the server's events. It stays its maker's, who disposes of it.</summary>
    void AddServerComponent(FLComponent component);
}

/// <summary>A site that is being built, or all sites of this process, as an extension sees them.</summary>
public interface ISiteBuilder : IJobBuilder
{
    /// <summary>Adds executors by task, filters, components or a policy to every site, those added later
    /// included.</summary>
    /// <param name="part">Called once for each site, once all checks have passed; make a new instance of whatever keeps
    /// state. What it adds is disposed of with the site.</param>
    void ConfigureSites(Action<SiteDefinition> part);
}
