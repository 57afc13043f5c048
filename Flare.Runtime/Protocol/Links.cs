namespace Flare.Runtime;

/// <summary>What a link promises about the messages of one direction.</summary>
public enum LinkPromise
{
    /// <summary>Nothing: messages may be lost, repeated and overtaken. The runtime says everything again until it is
    /// answered, and sites show from time to time that they are alive.</summary>
    None = 0,

    /// <summary>
    /// As long as a session lives every message arrives, once and in order; the link says when the session is lost and
    /// when there is another one. The runtime says again what is unanswered when a session begins, and only then.
    /// </summary>
    Session = 1,

    /// <summary>Every message arrives, once and in order, as long as both ends live: one process. Nothing is ever said
    /// twice.</summary>
    Always = 2,
}

/// <summary>The state of a peer, as a link with sessions knows it.</summary>
public enum LinkState
{
    /// <summary>A session has begun: the first, or the next after one was lost.</summary>
    Connected = 1,

    /// <summary>The session is over: what was on its way may have arrived or not.</summary>
    Lost = 2,
}

/// <summary>
/// The server's end of a transport, for one job. All calls come from the job's loop, and all callbacks must go to it.
/// docs/protocol.md says what a link must do.
/// </summary>
public interface IServerLink
{
    /// <summary>What holds of messages.</summary>
    LinkPromise Promise { get; }

    /// <summary>
    /// Whether a <see cref="LinkMessage"/> changes hands as the object that it is, without bytes: then a task brings
    /// its model along. Otherwise sites fetch models by their hash. False unless a link says so.
    /// </summary>
    bool SharesMemory => false;

    /// <summary>Starts delivering.</summary>
    /// <param name="receive">A site's message or a part of one, with the site's name as the connection proves
    /// it.</param>
    /// <param name="change">A site's session begins or is lost; called only by links of
    /// <see cref="LinkPromise.Session"/>.</param>
    void Start(Action<string, LinkMessage> receive, Action<string, LinkState> change);

    /// <summary>
    /// Sends without waiting. To a site without a session the message is dropped. A link's queue is bounded: where a
    /// peer takes no more, the link ends the session, and the runtime says again in the next one what still counts.
    /// Large messages do not fill it, since they wait for their places before they are sent.
    /// </summary>
    void Send(string site, LinkMessage message);
}

/// <summary>
/// A site's end of a transport, for one job. All calls come from the site's loop, and all callbacks must go to it.
/// </summary>
public interface ISiteLink
{
    /// <summary>What holds of messages.</summary>
    LinkPromise Promise { get; }

    /// <inheritdoc cref="IServerLink.SharesMemory"/>
    bool SharesMemory => false;

    /// <summary>Starts delivering.</summary>
    /// <param name="receive">A message of the server or a part of one.</param>
    /// <param name="change">The session begins or is lost; called only by links of
    /// <see cref="LinkPromise.Session"/>.</param>
    void Start(Action<LinkMessage> receive, Action<LinkState> change);

    /// <inheritdoc cref="IServerLink.Send"/>
    void Send(LinkMessage message);
}
