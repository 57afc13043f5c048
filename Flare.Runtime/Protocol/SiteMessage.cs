namespace Flare.Runtime;

/// <summary>
/// What a site says to the server. Whoever needs an answer repeats the message until the answer comes (how often, the
/// link's <see cref="LinkPromise"/> decides), and whoever gets one twice answers twice and acts once. Who says it, in
/// which start of itself and to which start of the server is the envelope's: <see cref="Heard"/>.
/// </summary>
internal abstract record SiteMessage;

/// <summary>A site's message with its envelope.</summary>
/// <param name="Site">The sender, as its link proves it.</param>
/// <param name="Incarnation">
/// How often the sender has started, from 1: a higher number has lost what a lower one held. What comes from a lower
/// one than the server knows is a straggler, and has no effect.
/// </param>
/// <param name="Epoch">The server's epoch that the sender knows of; 0 for none.</param>
/// <param name="Message">What it says.</param>
internal readonly record struct Heard(string Site, long Incarnation, int Epoch, SiteMessage Message);

/// <summary>The site is there. Repeated until <see cref="ServerWelcome"/> or <see cref="ServerRefusal"/>.</summary>
/// <param name="Process">Tells two processes apart that claim to be one site in one incarnation.</param>
/// <param name="Terms">What the site takes for granted.</param>
internal sealed record SiteHello(Guid Process, HelloTerms Terms) : SiteMessage;

/// <summary>The site is alive, whatever else is on the way.</summary>
internal sealed record SiteHeartbeat : SiteMessage;

/// <summary>What a site is doing at its job.</summary>
internal enum PresenceKind
{
    /// <summary>It works, or would.</summary>
    Working = 0,
    /// <summary>It is there, and begins no tasks for the time being.</summary>
    Paused = 1,
    /// <summary>It has left, and may come back.</summary>
    Left = 2,
    /// <summary>It takes no part in the job.</summary>
    Declined = 3,
}

/// <summary>
/// What the site is doing, whenever that changes, and again in each session; a site that has said nothing works.
/// </summary>
/// <param name="Kind">What it is.</param>
/// <param name="Reason">Why, in the words of the site's operator.</param>
internal sealed record SitePresence(PresenceKind Kind, string Reason) : SiteMessage;

/// <summary>The site has taken a task.</summary>
internal sealed record TaskReceived(TaskToken Token) : SiteMessage;

/// <summary>
/// The site lacks tensors of a task that it has taken. Repeated until <see cref="TensorsDelivery"/>.
/// </summary>
internal sealed record TensorsWanted(TaskToken Token, string Sha256) : SiteMessage;

/// <summary>Answers <see cref="TensorsDelivery"/>: others may have theirs.</summary>
internal sealed record TensorsReceived(TaskToken Token, string Sha256) : SiteMessage;

/// <summary>
/// A result is ready and asks for an upload permit. Repeated until <see cref="UploadPermit"/> or
/// <see cref="ResultReceipt"/>.
/// </summary>
/// <param name="Token">The assignment.</param>
/// <param name="Bytes">Bytes of the message that brings it; the permit is for no more.</param>
internal sealed record ResultReady(TaskToken Token, long Bytes) : SiteMessage;

/// <summary>A result. Repeated until <see cref="ResultReceipt"/>.</summary>
/// <param name="Token">The assignment.</param>
/// <param name="Result">The answer.</param>
/// <param name="State">What the task did to the site's state; null where it left it alone.</param>
internal sealed record TaskResult(TaskToken Token, Shareable Result, SiteStateChange? State = null) : SiteMessage;

/// <summary>Answers <see cref="TaskCancel"/>: the task does not run at the site any more.</summary>
internal sealed record TaskStopped(TaskToken Token) : SiteMessage;

/// <summary>A federated event of the site. Repeated until <see cref="ServerEventReceipt"/>.</summary>
internal sealed record SiteEvent(FederatedEvent Event) : SiteMessage;

/// <summary>Answers <see cref="ServerEvent"/>: all events up to the number have arrived.</summary>
internal sealed record SiteEventReceipt(long Sequence) : SiteMessage;

/// <summary>Answers <see cref="JobEnd"/>.</summary>
internal sealed record JobEndReceived : SiteMessage;

/// <summary>An event that crosses from one side to the other.</summary>
/// <param name="Sequence">Its number in the sender's sequence, from 1: the order, whatever the clocks say.</param>
/// <param name="EventType">The event's name.</param>
/// <param name="Data">What it carries; frozen.</param>
internal sealed record FederatedEvent(long Sequence, string EventType, Shareable Data);
