using Flare.Runtime;

namespace Flare;

/// <summary>
/// Describes a site whose server is elsewhere. Every verb returns the builder. It builds once, and what it has built
/// does not change with it any more.
/// </summary>
/// <example><code>
/// await using var plan = new SiteBuilder("hospital-1").UseExecutor(() => new MyTrainer(data)).Build();
/// var site = plan.CreateSite(loop, link);
/// </code></example>
public sealed class SiteBuilder : JobBuilder<SiteBuilder>
{
    private readonly SiteInfo _info;
    private readonly List<Action<SiteDefinition, SiteInfo>> _parts = [];
    private Func<Executor>? _executor;
    private SiteStateFolder? _state;
    private string _layout = "";
    private Func<JobToApprove, CancellationToken, ValueTask<JobDecision>>? _approve;

    /// <summary>Begins a site.</summary>
    /// <param name="name">Its name, unique in the job.</param>
    /// <exception cref="ArgumentException">The name is the server's, blank, longer than 200 bytes, or has characters
    /// that cannot be seen.</exception>
    public SiteBuilder(string name)
    {
        SiteName.Check(name, nameof(name));
        if (name == FLContext.Server)
            throw new ArgumentException(
                $"The name '{name}' is the server's own, in contexts, logs and events: name the site otherwise.",
                nameof(name));
        _info = new(0, name);
    }

    /// <summary>Sets what answers the tasks that no executor of <see cref="AddExecutor"/> is for.</summary>
    /// <param name="make">Makes it; called once, when the site is built. What it makes is disposed of with the
    /// site.</param>
    public SiteBuilder UseExecutor(Func<Executor> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        _executor = make;
        return this;
    }

    /// <summary>Adds an executor for a task.</summary>
    /// <param name="task">The task's name.</param>
    /// <param name="make">Makes it; called once, when the site is built. What it makes is disposed of with the
    /// site.</param>
    public SiteBuilder AddExecutor(string task, Func<Executor> make)
    {
        ArgumentException.ThrowIfNullOrEmpty(task);
        ArgumentNullException.ThrowIfNull(make);
        _parts.Add(
            (site, info) => site.AddExecutor(task, SiteFactory.Make(info, _ => make(), $" for the task '{task}'")));
        return this;
    }

    /// <summary>Sets what the site lets out; of errors no more than type and reference number unless set.</summary>
    /// <exception cref="FlareException">The policy contradicts itself.</exception>
    public SiteBuilder UsePolicy(SitePolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        policy.ThrowIfInvalid();
        return ConfigureSites(site => site.UsePolicy(policy));
    }

    /// <summary>States the layout of the model that the site is built for: where the job's model has another, the site
    /// is refused at its hello, rather than fail its first task. Any unless set.</summary>
    public SiteBuilder UseLayout(TensorLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        _layout = layout.Fingerprint;
        return this;
    }

    /// <summary>
    /// Keeps what executors put into <see cref="FLContext.SiteState"/> in a folder, so that it outlives the process; in
    /// memory unless set. Written before the answer of its task leaves; docs/site-state.md.
    /// </summary>
    /// <param name="folder">Created if it does not exist; each job gets a folder of its own in it. One site a
    /// folder: a second one, or a second process, is refused.</param>
    /// <param name="startsOver">Whether a site that has lost the state which the server names begins with an empty one,
    /// rather than fail its tasks.</param>
    public SiteBuilder UseSiteState(string folder, bool startsOver = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        _state = new(Path.GetFullPath(folder), startsOver);
        return this;
    }

    /// <summary>
    /// Asks the site's operator before the site runs a task of the job, and as often as the job is another one: other
    /// workflows, another model's layout, other tasks at the site, another policy. Until then the site is paused, and
    /// the server names it as that. What was approved is remembered in the folder of <see cref="UseSiteState"/>, or
    /// where there is none until the site has left. Where the operator refuses, the server hears why, waits for the
    /// site no more, and the site's part ends with <see cref="ErrorIds.JobNotApproved"/>; so it does where asking
    /// fails. Needed by a policy with <see cref="SitePolicy.RequiresApproval"/>.
    /// </summary>
    /// <param name="approve">Asks; called on another thread than the site's own, and cancelled when the site leaves or
    /// the job is over.</param>
    public SiteBuilder UseApproval(Func<JobToApprove, CancellationToken, ValueTask<JobDecision>> approve)
    {
        ArgumentNullException.ThrowIfNull(approve);
        _approve = approve;
        return this;
    }

    /// <summary>Adds executors by task, filters, components or a policy.</summary>
    /// <param name="part">Called once, when the site is built. What it adds is disposed of with the site.</param>
    public SiteBuilder ConfigureSites(Action<SiteDefinition> part)
    {
        ArgumentNullException.ThrowIfNull(part);
        _parts.Add((site, _) => part(site));
        return this;
    }

    /// <summary>Puts the site together, and makes what it is made of. Once.</summary>
    /// <exception cref="FlareException">The configuration is incomplete or contradicts itself; the message lists
    /// everything that is wrong. What the builder has taken over, and what was made, is disposed of.</exception>
    /// <exception cref="InvalidOperationException">The builder has built already.</exception>
    public SitePlan Build() => Building(() =>
    {
        BeginBuild("site");
        Func<SiteInfo, Executor>? make = _executor is { } executor ? _ => executor() : null;
        var site = SiteFactory.Make([(_info, make)], _parts, [], hasApprover: _approve is not null)[0];
        return new SitePlan(Settings, site, _state, _layout)
        {
            Approve = _approve,
        };
    });

    private protected override void Configure(IFederationExtension extension) =>
        extension.Configure((ISiteBuilder)new SiteHalf(this));

    private protected override IEnumerable<string> Faults() =>
        _executor is null && _parts.Count == 0 ? ["there is no executor; call UseExecutor or AddExecutor"] : [];

    private protected override int CountSites() => 1;

    private protected override IEnumerable<object> TakenOver() => [];

    private sealed class SiteHalf(SiteBuilder builder) : Half(builder, false), ISiteBuilder
    {
        public void ConfigureSites(Action<SiteDefinition> part) => builder.ConfigureSites(part);
    }
}
