using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Runtime;

/// <summary>What server and sites of a job are both told.</summary>
internal sealed record JobSettings
{
    public ulong Seed { get; init; }
    public string JobId { get; init; } = "job";
    public RuntimeLimits Limits { get; init; } = new();
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Makes a loop; the rig has its own.</summary>
    public Func<Action<Exception>, SynchronizationContext> NewLoop { get; init; } =
        static unhandled => new JobLoop(unhandled);

    /// <summary>Makes what takes work off the loop; the rig has its own.</summary>
    public Func<ComputeScheduler> NewCompute { get; init; } =
        static () => new ThreadPoolScheduler(Environment.ProcessorCount);

    /// <summary>Names a process; the rig's names are its seed's.</summary>
    public Func<Guid> NewProcess { get; init; } = SiteRuntimeOptions.AnyProcess;

    public Dictionary<Type, (object Feature, bool Owned)> Features { get; init; } = [];

    /// <summary>How extensions are set.</summary>
    public IReadOnlyList<Description> Descriptions { get; init; } = [];

    /// <summary>The policies that server and sites hold in common, each by its fingerprint.</summary>
    public IReadOnlyList<Func<string>> Policies { get; init; } = [];

    /// <summary>What server and sites compare; empty where there is nothing to.</summary>
    public string PolicyFingerprint =>
        string.Join(", ", Policies.Select(p => p()).Distinct().Order(StringComparer.Ordinal));

    /// <summary>The job's logger: held off from the run, and in a scope with the job's id.</summary>
    public ILogger CreateLogger()
    {
        var logger = LoggerFactory.CreateLogger("Flare");
        return logger is NullLogger ? logger : ScopedLogger.Of(new GuardedLogger(logger), JobId);
    }

    /// <summary>The features to dispose of.</summary>
    public IEnumerable<object> Owned => Features.Values.Where(f => f.Owned).Select(f => f.Feature);

    public T Feature<T>(string what) where T : class => Features.TryGetValue(typeof(T), out var entry)
        ? (T)entry.Feature
        : throw new InvalidOperationException($"The {what} has no {typeof(T).Name}; add it while the {what} is built.");
}
