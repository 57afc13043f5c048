namespace Flare.Runtime;

/// <summary>What the server says to a site; delivered as <see cref="SiteMessage"/> is.</summary>
/// <param name="Epoch">How often the job's server has started. A site that sees a higher epoch drops all tasks of the
/// lower one.</param>
public abstract record ServerMessage(int Epoch);

/// <summary>
/// Answers <see cref="SiteHello"/>, and any message of a site that the server does not know, or not in this
/// incarnation.
/// </summary>
/// <param name="Epoch">The server's epoch.</param>
/// <param name="HelloNeeded">Whether the site is to say hello (again).</param>
public sealed record ServerWelcome(int Epoch, bool HelloNeeded = false) : ServerMessage(Epoch);

/// <summary>
/// Answers <see cref="SiteHello"/> of a site that may not join, and whatever a process says after a later start of its
/// site: the job is over for it.
/// </summary>
/// <param name="Epoch">The server's epoch.</param>
/// <param name="Incarnation">The incarnation that is refused.</param>
/// <param name="Process">The process that is refused; empty for any of the incarnation.</param>
/// <param name="Reason">Why, and what to do; for the operator.</param>
public sealed record ServerRefusal(int Epoch, long Incarnation, Guid Process, string Reason) : ServerMessage(Epoch);

/// <summary>A task. Repeated until the site has taken it.</summary>
/// <param name="Token">The assignment.</param>
/// <param name="TaskName">The task's name.</param>
/// <param name="Data">What it brings, but for what the site is to fetch.</param>
/// <param name="Contents">
/// What the site fetches, or has already; none where the link shares memory, and then <paramref name="Data"/> is whole.
/// </param>
/// <param name="State">The state of the site that it goes on from.</param>
public sealed record TaskOffer(
    TaskToken Token, string TaskName, Shareable Data, IReadOnlyList<TensorsRef> Contents, SiteStateRef State = default)
    : ServerMessage(Token.Epoch);

/// <summary>Answers <see cref="TensorsWanted"/>, once there is room among those that are on their way.</summary>
/// <param name="Token">The assignment that they were asked for.</param>
/// <param name="Sha256">Their content's hash.</param>
/// <param name="Tensors">The tensors; frozen.</param>
public sealed record TensorsDelivery(TaskToken Token, string Sha256, StateDict Tensors) : ServerMessage(Token.Epoch);

/// <summary>The site may send the result.</summary>
public sealed record UploadPermit(TaskToken Token) : ServerMessage(Token.Epoch);

/// <summary>The result has arrived, or is not wanted any more; the site may forget it.</summary>
/// <param name="Epoch">The server's epoch.</param>
/// <param name="Token">The assignment, possibly of an earlier epoch.</param>
/// <param name="Refusal">Why the result was not used; null where it is.</param>
public sealed record ResultReceipt(int Epoch, TaskToken Token, string? Refusal) : ServerMessage(Epoch);

/// <summary>The task is to stop. Repeated until <see cref="TaskStopped"/>.</summary>
public sealed record TaskCancel(TaskToken Token, string Reason) : ServerMessage(Token.Epoch);

/// <summary>A federated event of the server. Repeated until <see cref="SiteEventReceipt"/>.</summary>
/// <param name="Epoch">The server's epoch.</param>
/// <param name="Incarnation">The site's incarnation that the event's number belongs to: for the next one, what is
/// pending is numbered anew.</param>
/// <param name="Event">The event.</param>
public sealed record ServerEvent(int Epoch, long Incarnation, FederatedEvent Event) : ServerMessage(Epoch);

/// <summary>Answers <see cref="SiteEvent"/>: all events up to the number have arrived.</summary>
public sealed record ServerEventReceipt(int Epoch, long Incarnation, long Sequence) : ServerMessage(Epoch);

/// <summary>The job is over. Repeated until <see cref="JobEndReceived"/>, for a bounded time.</summary>
/// <param name="Epoch">The server's epoch.</param>
/// <param name="Incarnation">The site's incarnation that the job is over for: one that has started since may be meant
/// to go on with the resumed job.</param>
/// <param name="Reason">Why it is over.</param>
public sealed record JobEnd(int Epoch, long Incarnation, string Reason) : ServerMessage(Epoch);
