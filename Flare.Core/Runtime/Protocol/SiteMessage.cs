namespace Flare.Runtime;

/// <summary>
/// What a site says to the server. Every message may be lost, repeated or overtaken: whoever needs an answer repeats the message until the
/// answer comes, and whoever gets one twice answers twice and acts once.
/// </summary>
/// <param name="Site">The sender; a transport with identities makes sure that it is.</param>
public abstract record SiteMessage(string Site);

/// <summary>The site is there. Repeated until <see cref="ServerWelcome"/>.</summary>
/// <param name="Site">The sender.</param>
/// <param name="Incarnation">How often the site has started: a higher number has lost what a lower one held.</param>
public sealed record SiteHello(string Site, long Incarnation) : SiteMessage(Site);

/// <summary>The site is alive, whatever else is on the way.</summary>
public sealed record SiteHeartbeat(string Site, long Incarnation) : SiteMessage(Site);

/// <summary>The site has taken a task.</summary>
public sealed record TaskReceived(string Site, TaskToken Token) : SiteMessage(Site);

/// <summary>A result is ready and asks for an upload permit. Repeated until <see cref="UploadPermit"/> or <see cref="ResultReceipt"/>.</summary>
/// <param name="Site">The sender.</param>
/// <param name="Token">The assignment.</param>
/// <param name="Bytes">Bytes of the result's tensors.</param>
public sealed record ResultReady(string Site, TaskToken Token, long Bytes) : SiteMessage(Site);

/// <summary>A result. Repeated until <see cref="ResultReceipt"/>.</summary>
public sealed record TaskResult(string Site, TaskToken Token, Shareable Result) : SiteMessage(Site);

/// <summary>Answers <see cref="TaskCancel"/>: the task does not run at the site any more.</summary>
public sealed record TaskStopped(string Site, TaskToken Token) : SiteMessage(Site);

/// <summary>A federated event of the site. Repeated until <see cref="ServerEventReceipt"/>.</summary>
public sealed record SiteEvent(string Site, long Incarnation, FederatedEvent Event) : SiteMessage(Site);

/// <summary>Answers <see cref="ServerEvent"/>: all events up to the number have arrived.</summary>
public sealed record SiteEventReceipt(string Site, int Epoch, long Sequence) : SiteMessage(Site);

/// <summary>Answers <see cref="JobEnd"/>.</summary>
public sealed record JobEndReceived(string Site) : SiteMessage(Site);

/// <summary>An event that crosses from one side to the other.</summary>
/// <param name="Sequence">Its number in the sender's sequence, from 1: the order, whatever the clocks say.</param>
/// <param name="EventType">The event's name.</param>
/// <param name="Data">What it carries; frozen.</param>
public sealed record FederatedEvent(long Sequence, string EventType, Shareable Data);
