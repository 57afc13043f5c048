namespace Flare.Transport;

/// <summary>What a peer's certificate has proven.</summary>
public sealed record PeerProof
{
    private PeerProof(CertifiedName? proven, string? refusal) => (Proven, Refusal) = (proven, refusal);

    /// <summary>Who the peer is; null where it is refused.</summary>
    public CertifiedName? Proven { get; }

    /// <summary>The peer's name; null where it is refused.</summary>
    public string? Name => Proven?.Name;

    /// <summary>
    /// Why it is refused, as a clause about the certificate that begins with "it" and says what to do; null where it is
    /// not.
    /// </summary>
    public string? Refusal { get; }

    /// <summary>Whom a newer roster than is known here might prove; null where none would, or it is
    /// proven.</summary>
    internal CertifiedName? Unlisted { get; private init; }

    internal static PeerProof Accept(CertifiedName name) => new(name, null);

    internal static PeerProof Refuse(string why, CertifiedName? unlisted = null) =>
        new(null, why) { Unlisted = unlisted };
}
