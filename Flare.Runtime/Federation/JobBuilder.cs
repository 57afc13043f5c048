using Flare.Runtime;
using Microsoft.Extensions.Logging;

namespace Flare;

/// <summary>
/// What the builders of a federation, a server and a site have in common. Every verb returns the builder. It builds
/// once, and what it has built does not change with it any more.
/// </summary>
/// <typeparam name="TBuilder">The builder itself.</typeparam>
public abstract class JobBuilder<TBuilder> : IExtensible where TBuilder : JobBuilder<TBuilder>
{
    private readonly List<(Func<IEnumerable<string>> Check, string ErrorId)> _checks = [];
    private readonly Dictionary<Type, (object Feature, bool Owned)> _features = [];
    private readonly List<Description> _descriptions = [];
    private readonly List<Func<string>> _policies = [];
    private JobSettings _settings = new();
    private bool _hasBuilt;

    private protected JobBuilder() { }

    private protected JobSettings Settings => _settings with
    {
        Features = new(_features), Descriptions = [.. _descriptions], Policies = [.. _policies],
    };

    private TBuilder Self => (TBuilder)this;

    /// <summary>Sets the seed that all randomness derives from: same seed, same bits. 0 unless set. The same at the
    /// server and all sites.</summary>
    public TBuilder UseSeed(ulong seed) => With(_settings with { Seed = seed });

    /// <summary>Names the job; <c>job</c> unless set. The same at the server and all sites.</summary>
    /// <exception cref="ArgumentException">The name is blank, longer than 200 bytes, or has characters that cannot be
    /// seen.</exception>
    public TBuilder UseJobId(string jobId)
    {
        SiteName.Check(jobId, nameof(jobId));
        return With(_settings with { JobId = jobId });
    }

    /// <summary>Sets the runtime's limits and intervals.</summary>
    public TBuilder UseLimits(RuntimeLimits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        return With(_settings with { Limits = limits });
    }

    /// <summary>Sets where to log; nowhere unless set.</summary>
    public TBuilder UseLogging(ILoggerFactory factory)
    {
        ArgumentNullException.ThrowIfNull(factory);
        return With(_settings with { LoggerFactory = factory });
    }

    /// <summary>Sets the clock; the system's unless set.</summary>
    public TBuilder UseTime(TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
        return With(_settings with { Time = time });
    }

    /// <summary>Has jobs run elsewhere than on the thread pool: the rig's way in.</summary>
    /// <param name="newLoop">Makes a job's loop, given who receives what its callbacks throw.</param>
    /// <param name="compute">Takes work off it.</param>
    /// <param name="newProcess">Names a process.</param>
    internal TBuilder UseThreads(
        Func<Action<Exception>, SynchronizationContext> newLoop, ComputeScheduler compute, Func<Guid> newProcess) =>
        With(_settings with { NewLoop = newLoop, NewCompute = () => compute, NewProcess = newProcess });

    /// <summary>
    /// States a policy that the server and every site must hold in common, beside those of extensions: a site that
    /// states another, or none, is refused at its hello (<see cref="ErrorIds.SiteRefused"/>). A server that states none
    /// takes any.
    /// </summary>
    /// <param name="fingerprint">Names the policy.</param>
    public TBuilder RequirePolicy(string fingerprint)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(fingerprint);
        _policies.Add(() => fingerprint);
        return Self;
    }

    /// <summary>Adds an extension: those of its halves that this builder has.</summary>
    public TBuilder Use(IFederationExtension extension)
    {
        ArgumentNullException.ThrowIfNull(extension);
        Configure(extension);
        return Self;
    }

    /// <summary>
    /// Adds a check of the whole configuration, run by <c>Build</c>: it returns what is wrong, and what to do about it.
    /// </summary>
    /// <param name="check">Returns what is wrong; nothing where all is well. It changes nothing.</param>
    /// <param name="errorId">The id of the error that the configuration is then refused with. Where several checks find
    /// something, the first id that is not <see cref="ErrorIds.Configuration"/> counts; the message lists
    /// everything.</param>
    public TBuilder AddCheck(Func<TBuilder, IEnumerable<string>> check, string errorId = ErrorIds.Configuration)
    {
        ArgumentNullException.ThrowIfNull(check);
        ArgumentException.ThrowIfNullOrEmpty(errorId);
        _checks.Add((() => check(Self), errorId));
        return Self;
    }

    /// <summary>Adds an object that the application finds again by its type, as <c>Feature&lt;T&gt;()</c> of what is
    /// built.</summary>
    /// <typeparam name="T">What it is looked up by.</typeparam>
    /// <param name="feature">The object.</param>
    /// <param name="owned">Whether what is built disposes of it, when it is itself disposed of.</param>
    /// <exception cref="InvalidOperationException">There is one of the type already.</exception>
    public TBuilder AddFeature<T>(T feature, bool owned = false) where T : class
    {
        ArgumentNullException.ThrowIfNull(feature);
        if (!_features.TryAdd(typeof(T), (feature, owned)))
            throw new InvalidOperationException($"There is a {typeof(T).Name} already; add it once.");
        return Self;
    }

    void IExtensible.Extend(IFederationExtension extension) => Use(extension);

    private protected abstract void Configure(IFederationExtension extension);

    /// <summary>What is wrong with what was set; the checks that were added come after it.</summary>
    private protected abstract IEnumerable<string> Faults();

    /// <summary>Refuses to go on where anything is wrong, with all that is.</summary>
    /// <param name="what">What is being built.</param>
    private protected void BeginBuild(string what)
    {
        var errors = new List<string>(Faults());
        errors.AddRange(_settings.Limits.Validate());
        var errorId = ErrorIds.Configuration;
        foreach (var (check, id) in _checks)
        {
            var before = errors.Count;
            errors.AddRange(check());
            if (errors.Count > before && errorId == ErrorIds.Configuration) errorId = id;
        }
        if (errors.Count > 0)
            throw new FlareException(errorId, $"The {what} cannot be built: {string.Join("; ", errors)}.");
    }

    /// <summary>Builds; where that fails, what was taken over is disposed of, since nobody else will.</summary>
    private protected TBuilt Building<TBuilt>(Func<TBuilt> build)
    {
        RequireUnused();
        _hasBuilt = true;
        try
        {
            return build();
        }
        catch
        {
            Abandon();
            throw;
        }
    }

    /// <summary>Disposes of what was taken over where nothing comes of it.</summary>
    internal void Abandon()
    {
        _hasBuilt = true;
        object[] owned = [.. Settings.Owned, .. TakenOver()];
        // Off this thread, which may be one that continuations wait for.
        if (owned.Length > 0)
            _ = _settings.NewCompute().RunAsync(async () =>
            {
                await Disposal.DisposeAllAsync(owned);
                return true;
            });
    }

    private protected abstract int CountSites();

    /// <summary>What this builder was given to dispose of, besides features.</summary>
    private protected abstract IEnumerable<object> TakenOver();

    private void RequireUnused()
    {
        if (_hasBuilt) throw new InvalidOperationException("A builder builds once; make another for another one.");
    }

    private TBuilder With(JobSettings settings)
    {
        _settings = settings;
        return Self;
    }

    /// <summary>This builder as an extension sees it.</summary>
    private protected class Half(JobBuilder<TBuilder> builder, bool isInProcess) : IJobBuilder
    {
        public bool IsInProcess => isInProcess;

        public int SiteCount => builder.CountSites();

        public void AddCheck(Func<IEnumerable<string>> check, string errorId = ErrorIds.Configuration)
        {
            ArgumentNullException.ThrowIfNull(check);
            builder.AddCheck(_ => check(), errorId);
        }

        public void AddFeature<T>(T feature, bool owned = false) where T : class => builder.AddFeature(feature, owned);

        public void RequirePolicy(Func<string> fingerprint)
        {
            ArgumentNullException.ThrowIfNull(fingerprint);
            builder._policies.Add(fingerprint);
        }

        public void Describe(string name, Func<string> describe)
        {
            ArgumentException.ThrowIfNullOrEmpty(name);
            ArgumentNullException.ThrowIfNull(describe);
            builder._descriptions.Add(new(name, describe));
        }
    }

    private protected sealed class ServerHalf(JobBuilder<TBuilder> builder, ServerParts parts, bool isInProcess)
        : Half(builder, isInProcess), IServerBuilder
    {
        public IReadOnlyList<Controller> Controllers => parts.Controllers;

        public bool KeepsJournal => parts.Journal is not null;

        public void UseAggregator(Func<Aggregator> make) => parts.UseAggregator(make);

        public void AddServerFilter(FilterPlace place, Filter filter, params string[] tasks) =>
            parts.Add(place, filter, tasks);

        public void AddServerComponent(FLComponent component) => parts.Add(component);
    }
}
