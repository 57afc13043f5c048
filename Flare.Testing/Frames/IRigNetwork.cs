using Flare.Runtime;

namespace Flare.Testing;

/// <summary>The network of a <see cref="SimulatedFederation"/>: of messages as they are, or of frames.</summary>
internal interface IRigNetwork
{
    /// <summary>Whether nothing is ever lost.</summary>
    bool IsReliable { get; }

    /// <summary>Messages, and what became of them.</summary>
    (long Sent, long Dropped, long Duplicated) Counts { get; }

    /// <summary>Has the rig's checks see messages as they are sent, and as they arrive.</summary>
    void Watch(UploadWatch uploads);

    /// <summary>The loop of a process that starts.</summary>
    SynchronizationContext NewLoop();

    /// <summary>A server starts.</summary>
    IServerLink StartServer(SynchronizationContext loop, RuntimeLimits limits);

    /// <summary>The server's process is gone.</summary>
    void CrashServer();

    /// <summary>The job has ended, and the server's process ends in order.</summary>
    void EndServer();

    /// <summary>A site starts.</summary>
    ISiteLink StartSite(string site, long incarnation, SynchronizationContext loop);

    /// <summary>A site's process is gone.</summary>
    void CrashSite(string site);

    /// <summary>Nothing passes in a site's directions.</summary>
    void Cut(string site, LinkDirections directions);

    /// <summary>Ends that.</summary>
    void Heal(string site);

    /// <summary>From here on nothing goes wrong.</summary>
    void EndFaults();

    /// <summary>All that is left ends in order; what is held then that should not be is a failure.</summary>
    Task FinishAsync();
}
