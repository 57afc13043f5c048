namespace Flare;

/// <summary>Where a filter stands on a message's way.</summary>
public enum FilterPlace
{
    /// <summary>At the server, on task data before it is sent.</summary>
    ServerOut,
    /// <summary>At a site, on task data before the executor sees it.</summary>
    SiteIn,
    /// <summary>At a site, on a result before it is sent.</summary>
    SiteOut,
    /// <summary>At the server, on a result before it is admitted.</summary>
    ServerIn,
}

/// <summary>
/// Transforms messages on their way (FLARE: Filter): encryption, privacy, conversion. A filter that cannot do its work
/// throws, and the message goes no further: nothing is sent unfiltered. Only messages with return code
/// <see cref="ReturnCode.Ok"/> pass filters; the others carry no body.
/// </summary>
public abstract class Filter : FLComponent
{
    /// <summary>Transforms one message.</summary>
    /// <param name="message">The message; frozen when it was received. Return it as it is or a new one: nothing depends
    /// on which.</param>
    /// <param name="context">The task, the peer, the round.</param>
    /// <param name="abort">Cancelled when the task is aborted.</param>
    public abstract ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort);
}
