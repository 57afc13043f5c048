using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Runtime;

/// <summary>What a <see cref="SiteRuntime"/> works with.</summary>
public sealed record SiteRuntimeOptions
{
    /// <summary>The job's id.</summary>
    public required string JobId { get; init; }

    /// <summary>The job's seed, the same at the server and all sites.</summary>
    public ulong Seed { get; init; }

    /// <summary>The loop that the site's state belongs to.</summary>
    public required SynchronizationContext Loop { get; init; }

    /// <summary>The site's end of the transport.</summary>
    public required ISiteLink Link { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where executors run.</summary>
    public ComputeScheduler Compute { get; init; } = ComputeScheduler.ThreadPool;

    /// <summary>Where to log.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>Limits and intervals.</summary>
    public RuntimeLimits Limits { get; init; } = new();

    /// <summary>What the site lets out, where its <see cref="SiteDefinition.Policy"/> does not say; of errors no more
    /// than type and reference number unless set.</summary>
    public SitePolicy Policy { get; init; } = new();

    /// <summary>
    /// The <see cref="TensorLayout.Fingerprint"/> of the model that the site is built for: it is refused where the
    /// job's initial model has another. Empty, for any, unless set.
    /// </summary>
    public string LayoutFingerprint { get; init; } = "";

    /// <summary>
    /// The fingerprint of the policy that the site holds, compared with
    /// <see cref="JobServerOptions.PolicyFingerprint"/>; empty unless set.
    /// </summary>
    public string PolicyFingerprint { get; init; } = "";

    /// <summary>
    /// Asks the site's operator before the site runs a task of the job; see <see cref="SiteBuilder.UseApproval"/>.
    /// Called off the loop. Null unless set; a policy with <see cref="SitePolicy.RequiresApproval"/> needs it.
    /// </summary>
    public Func<JobToApprove, CancellationToken, ValueTask<JobDecision>>? Approve { get; init; }

    /// <summary>
    /// How often this site has started, at least 1 and greater at every start; a clock or a counter on disk.
    /// </summary>
    public long Incarnation { get; init; } = 1;

    /// <summary>
    /// Opens where the site's states lie (<see cref="Flare.SiteState"/>), once its first task is there: the storage of
    /// one site and one job, such as <see cref="DirectoryJournalStorage"/>, which the site disposes of. Null, for
    /// memory, unless set.
    /// </summary>
    public Func<Task<IJournalStorage>>? State { get; init; }

    /// <summary>Whether a site that has lost the state which the server names begins with an empty one, and says so in
    /// its log, rather than fail its tasks. False unless set; in memory it always does.</summary>
    public bool StateStartsOver { get; init; }

    /// <summary>What is wrong with the options, with the limits and the policy among them; nothing where all is
    /// well.</summary>
    public IEnumerable<string> Validate()
    {
        if (SiteName.Fault(JobId) is { } fault) yield return $"{nameof(JobId)}: {fault}";
        foreach (var (name, value) in new (string, object?)[]
        {
            (nameof(Loop), Loop), (nameof(Link), Link), (nameof(Time), Time), (nameof(Compute), Compute),
            (nameof(Logger), Logger), (nameof(Limits), Limits), (nameof(Policy), Policy),
        })
            if (value is null) yield return $"{name} is null";
        if (Incarnation < 1) yield return $"{nameof(Incarnation)} is {Incarnation}; it must be at least 1";
        foreach (var error in Limits?.Validate() ?? []) yield return error;
        foreach (var error in Policy?.Validate() ?? []) yield return error;
    }

    /// <summary>
    /// Slots that sites of one process share, so that no more than so many executors run at once; null for no limit.
    /// </summary>
    internal ExecutorSlots? Slots { get; init; }

    /// <summary>Names the process, unlike any other's name.</summary>
    internal Func<Guid> NewProcess { get; init; } = AnyProcess;

    /// <summary>A name that no other process has.</summary>
#pragma warning disable RS0030 // no randomness of the job's: it is compared and nothing else, so a run stays its seed's
    internal static Func<Guid> AnyProcess { get; } = Guid.NewGuid;
#pragma warning restore RS0030

    /// <summary>Whether server and site are one application in one process.</summary>
    internal bool IsInProcess { get; init; }

    /// <summary>How extensions are set.</summary>
    internal IReadOnlyList<Description> Descriptions { get; init; } = [];
}
