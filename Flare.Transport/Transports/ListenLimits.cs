namespace Flare.Transport;

/// <summary>What may be spent on connections that have not proven yet who they are.</summary>
public sealed record ListenLimits
{
    /// <summary>
    /// Connections that may be proving who they are at once, at least 1; 512 unless set. Where more come, one that
    /// says nothing is dropped, then one of the address that has most: an honest one takes milliseconds.
    /// </summary>
    public int MaxHandshakes { get; init; } = 512;

    /// <summary>The same from one address; 64 unless set. For further ones of the address, one of them that says
    /// nothing is dropped; where all do, the new one is.</summary>
    public int MaxHandshakesPerAddress { get; init; } = 64;

    /// <summary>How long a connection may take to prove who it is, at most a day; 10 s unless set.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Connections that the system may hold ready before they are taken; 512 unless set.</summary>
    public int Backlog { get; init; } = 512;

    /// <summary>Everything that is wrong with these limits; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        if (MaxHandshakes < 1) yield return $"{nameof(MaxHandshakes)} is {MaxHandshakes}; it must be at least 1";
        if (MaxHandshakesPerAddress < 1)
            yield return $"{nameof(MaxHandshakesPerAddress)} is {MaxHandshakesPerAddress}; it must be at least 1";
        if (Backlog < 1) yield return $"{nameof(Backlog)} is {Backlog}; it must be at least 1";
        if (Times.Fault(nameof(HandshakeTimeout), HandshakeTimeout) is { } fault) yield return fault;
    }
}
