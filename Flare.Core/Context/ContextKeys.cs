namespace Flare;

/// <summary>The context properties that the runtime sets.</summary>
public static class ContextKeys
{
    /// <summary>The message that a federated event carries.</summary>
    public static readonly FLContextKey<Shareable> EventData = new("flare.event_data");
    /// <summary>Who fired a federated event: the server, or a site's name.</summary>
    public static readonly FLContextKey<string> EventOrigin = new("flare.event_origin");
    /// <summary>A federated event's number in its sender's sequence, from 1.</summary>
    public static readonly FLContextKey<long> EventSequence = new("flare.event_sequence");
    /// <summary>The contribution that an event of the server is about.</summary>
    public static readonly FLContextKey<Contribution> Contribution = new("flare.contribution");
    /// <summary>The global model that an event of the server is about.</summary>
    public static readonly FLContextKey<StateDict> GlobalModel = new("flare.global_model");
    /// <summary>The round that an event of the server is about.</summary>
    public static readonly FLContextKey<int> CurrentRound = new("flare.current_round");
    /// <summary>The message that a filter or executor works on.</summary>
    public static readonly FLContextKey<Shareable> Message = new("flare.message");
}
