namespace Flare.Runtime;

/// <summary>
/// The server's end of a transport, for one job. All calls come from the job's loop, and all callbacks must go to it.
/// </summary>
public interface IServerLink
{
    /// <summary>
    /// Whether every message arrives, once and in order, as long as both ends live. Then nothing is repeated.
    /// </summary>
    bool IsReliable { get; }

    /// <summary>
    /// Whether messages change hands as objects, without copies: then a task brings its model along. Otherwise sites
    /// fetch models by their hash. False unless a link says so.
    /// </summary>
    bool SharesMemory => false;

    /// <summary>Starts delivering messages.</summary>
    void Start(Action<SiteMessage> receive);

    /// <summary>Sends without waiting. What cannot be delivered is dropped.</summary>
    void Send(string site, ServerMessage message);
}

/// <summary>
/// A site's end of a transport, for one job. All calls come from the site's loop, and all callbacks must go to it.
/// </summary>
public interface ISiteLink
{
    /// <summary>
    /// Whether every message arrives, once and in order, as long as both ends live. Then nothing is repeated.
    /// </summary>
    bool IsReliable { get; }

    /// <summary>Starts delivering messages.</summary>
    void Start(Action<ServerMessage> receive);

    /// <summary>Sends without waiting. What cannot be delivered is dropped.</summary>
    void Send(SiteMessage message);
}
