namespace Flare.Runtime;

/// <summary>
/// What the server says to a site; its epoch, and the start of the site that it is for, are the envelope's. A site that
/// sees a higher epoch drops all tasks of the lower one, and takes nothing that is for another start of itself.
/// </summary>
internal abstract record ServerMessage;

/// <summary>
/// Answers <see cref="SiteHello"/>, and any message of a site that the server does not know, or not in this
/// incarnation.
/// </summary>
/// <param name="HelloNeeded">Whether the site is to say hello (again).</param>
/// <param name="Terms">What the job is, for the site's operator; null where it answers no hello.</param>
internal sealed record ServerWelcome(bool HelloNeeded = false, JobTerms? Terms = null) : ServerMessage;

/// <summary>What a server says about its job.</summary>
/// <param name="Workflows">The names of its workflows.</param>
/// <param name="Layout">The fingerprint of its model's layout.</param>
internal sealed record JobTerms(IReadOnlyList<string> Workflows, string Layout);

/// <summary>
/// Answers <see cref="SiteHello"/> of a site that may not join, and whatever a process says after a later start of its
/// site: the job is over for it.
/// </summary>
/// <param name="Process">The process that is refused; empty for any of the incarnation.</param>
/// <param name="Reason">Why, and what to do; for the operator.</param>
internal sealed record ServerRefusal(Guid Process, string Reason) : ServerMessage;

/// <summary>A task. Repeated until the site has taken it.</summary>
/// <param name="Token">The assignment.</param>
/// <param name="TaskName">The task's name.</param>
/// <param name="Data">What it brings, but for what the site is to fetch.</param>
/// <param name="Contents">
/// What the site fetches, or has already; none where the link shares memory, and then <paramref name="Data"/> is whole.
/// </param>
/// <param name="State">The state of the site that it goes on from.</param>
internal sealed record TaskOffer(
    TaskToken Token, string TaskName, Shareable Data, IReadOnlyList<TensorsRef> Contents, SiteStateRef State = default)
    : ServerMessage;

/// <summary>Answers <see cref="TensorsWanted"/>, once there is room among those that are on their way.</summary>
/// <param name="Token">The assignment that they were asked for.</param>
/// <param name="Sha256">Their content's hash.</param>
/// <param name="Tensors">The tensors; frozen.</param>
internal sealed record TensorsDelivery(TaskToken Token, string Sha256, StateDict Tensors) : ServerMessage;

/// <summary>The site may send the result.</summary>
/// <param name="Token">The assignment.</param>
/// <param name="Bytes">Bytes of the result, as the site has asked: not said, but kept by the link.</param>
internal sealed record UploadPermit(TaskToken Token, long Bytes = 0) : ServerMessage;

/// <summary>The result has arrived, or is not wanted any more; the site may forget it.</summary>
/// <param name="Token">The assignment.</param>
/// <param name="Refusal">Why the result was not used; null where it is.</param>
/// <param name="MayWait">Whether the site holds nothing large until it comes. Not said, but known to the link.</param>
internal sealed record ResultReceipt(TaskToken Token, string? Refusal, bool MayWait = false) : ServerMessage;

/// <summary>The task is to stop. Repeated until <see cref="TaskStopped"/>.</summary>
internal sealed record TaskCancel(TaskToken Token, string Reason) : ServerMessage;

/// <summary>A federated event of the server. Repeated until <see cref="SiteEventReceipt"/>. Its number belongs to the
/// site's incarnation: for the next one, what is pending is numbered anew.</summary>
internal sealed record ServerEvent(FederatedEvent Event) : ServerMessage;

/// <summary>Answers <see cref="SiteEvent"/>: all events up to the number have arrived.</summary>
internal sealed record ServerEventReceipt(long Sequence) : ServerMessage;

/// <summary>The job is over for this start of the site: one that has started since may be meant to go on with the
/// resumed job. Repeated until <see cref="JobEndReceived"/>, for a bounded time.</summary>
/// <param name="Reason">Why it is over.</param>
internal sealed record JobEnd(string Reason) : ServerMessage;
