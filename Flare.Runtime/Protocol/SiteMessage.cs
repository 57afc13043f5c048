namespace Flare.Runtime;

/// <summary>
/// What a site says to the server. Every message may be lost, repeated or overtaken: whoever needs an answer repeats
/// the message until the answer comes, and whoever gets one twice answers twice and acts once.
/// </summary>
/// <param name="Site">The sender; a transport with identities makes sure that it is.</param>
/// <param name="Incarnation">
/// How often the sender has started, from 1: a higher number has lost what a lower one held. What comes from a lower
/// one than the server knows is a straggler, and has no effect.
/// </param>
public abstract record SiteMessage(string Site, long Incarnation);

/// <summary>The site is there. Repeated until <see cref="ServerWelcome"/> or <see cref="ServerRefusal"/>.</summary>
/// <param name="Site">The sender.</param>
/// <param name="Incarnation">How often it has started.</param>
/// <param name="Process">Tells two processes apart that claim to be one site in one incarnation.</param>
/// <param name="Terms">What the site takes for granted.</param>
public sealed record SiteHello(string Site, long Incarnation, Guid Process, HelloTerms Terms)
    : SiteMessage(Site, Incarnation);

/// <summary>The site is alive, whatever else is on the way.</summary>
public sealed record SiteHeartbeat(string Site, long Incarnation) : SiteMessage(Site, Incarnation);

/// <summary>The site has taken a task.</summary>
public sealed record TaskReceived(string Site, long Incarnation, TaskToken Token) : SiteMessage(Site, Incarnation);

/// <summary>
/// The site lacks tensors of a task that it has taken. Repeated until <see cref="TensorsDelivery"/>.
/// </summary>
public sealed record TensorsWanted(string Site, long Incarnation, TaskToken Token, string Sha256)
    : SiteMessage(Site, Incarnation);

/// <summary>Answers <see cref="TensorsDelivery"/>: others may have theirs.</summary>
public sealed record TensorsReceived(string Site, long Incarnation, TaskToken Token, string Sha256)
    : SiteMessage(Site, Incarnation);

/// <summary>
/// A result is ready and asks for an upload permit. Repeated until <see cref="UploadPermit"/> or
/// <see cref="ResultReceipt"/>.
/// </summary>
/// <param name="Site">The sender.</param>
/// <param name="Incarnation">How often it has started.</param>
/// <param name="Token">The assignment.</param>
/// <param name="Bytes">Bytes of the result's tensors.</param>
public sealed record ResultReady(string Site, long Incarnation, TaskToken Token, long Bytes) :
    SiteMessage(Site, Incarnation);

/// <summary>A result. Repeated until <see cref="ResultReceipt"/>.</summary>
/// <param name="Site">The sender.</param>
/// <param name="Incarnation">How often it has started.</param>
/// <param name="Token">The assignment.</param>
/// <param name="Result">The answer.</param>
/// <param name="State">What the task did to the site's state; null where it left it alone.</param>
public sealed record TaskResult(
    string Site, long Incarnation, TaskToken Token, Shareable Result, SiteStateChange? State = null)
    : SiteMessage(Site, Incarnation);

/// <summary>Answers <see cref="TaskCancel"/>: the task does not run at the site any more.</summary>
public sealed record TaskStopped(string Site, long Incarnation, TaskToken Token) : SiteMessage(Site, Incarnation);

/// <summary>A federated event of the site. Repeated until <see cref="ServerEventReceipt"/>.</summary>
/// <param name="Site">The sender.</param>
/// <param name="Incarnation">How often it has started.</param>
/// <param name="Epoch">The server's epoch that the event's number belongs to; 0 before the site has heard of
/// any.</param>
/// <param name="Event">The event.</param>
public sealed record SiteEvent(string Site, long Incarnation, int Epoch, FederatedEvent Event) :
    SiteMessage(Site, Incarnation);

/// <summary>Answers <see cref="ServerEvent"/>: all events up to the number have arrived.</summary>
public sealed record SiteEventReceipt(string Site, long Incarnation, int Epoch, long Sequence) :
    SiteMessage(Site, Incarnation);

/// <summary>Answers <see cref="JobEnd"/>.</summary>
public sealed record JobEndReceived(string Site, long Incarnation) : SiteMessage(Site, Incarnation);

/// <summary>An event that crosses from one side to the other.</summary>
/// <param name="Sequence">Its number in the sender's sequence, from 1: the order, whatever the clocks say.</param>
/// <param name="EventType">The event's name.</param>
/// <param name="Data">What it carries; frozen.</param>
public sealed record FederatedEvent(long Sequence, string EventType, Shareable Data);
