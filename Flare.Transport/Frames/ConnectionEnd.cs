namespace Flare.Transport;

/// <summary>Why a connection ended.</summary>
public enum ConnectionEndKind
{
    /// <summary>This end closed it, in order.</summary>
    Closed,
    /// <summary>The other end closed it, in order.</summary>
    ClosedByPeer,
    /// <summary>The network, or the other end's process, is gone; to connect again may help.</summary>
    Lost,
    /// <summary>The other end was silent, or took nothing, for too long; to connect again may help.</summary>
    TimedOut,
    /// <summary>What came breaks the rules of docs/wire.md, or a limit; the other end was told.</summary>
    ProtocolError,
    /// <summary>A receiver of messages at this end threw.</summary>
    Failed,
    /// <summary>This end does not believe the other any more, as where its certificate was revoked; the other end was
    /// told.</summary>
    Refused,
}

/// <summary>How a connection ended.</summary>
/// <param name="Kind">Why.</param>
/// <param name="Reason">What happened, for the operator. Text of the other end is cut to 500 characters, without
/// control characters.</param>
/// <param name="Error">The exception behind it, if one was.</param>
public sealed record ConnectionEnd(ConnectionEndKind Kind, string Reason, Exception? Error = null)
{
    /// <summary>Whether to connect again may help.</summary>
    public bool IsTransient => Kind is ConnectionEndKind.Lost or ConnectionEndKind.TimedOut;

    /// <inheritdoc/>
    public override string ToString() => $"{Kind}: {Reason}";
}
