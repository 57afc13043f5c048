namespace Flare.Transport;

/// <summary>What an authority puts into a startup kit.</summary>
public sealed record StartupKitContent
{
    /// <summary>The project.</summary>
    public required string Project { get; init; }

    /// <summary>Whose kit it is.</summary>
    public required CertifiedName Member { get; init; }

    /// <summary>
    /// Where the server is, in the order in which to try: <c>flare://host:8002</c> (TLS),
    /// <c>wss://host/flare</c>, <c>unix:/path</c>; at most 16.
    /// </summary>
    public required IReadOnlyList<Uri> Addresses { get; init; }

    /// <summary>The member's certificate, DER, and behind it what stands between it and a root; 1 to 8.</summary>
    public required IReadOnlyList<ReadOnlyMemory<byte>> Certificates { get; init; }

    /// <summary>The roots that the member trusts, DER; 1 to 8.</summary>
    public required IReadOnlyList<ReadOnlyMemory<byte>> TrustRoots { get; init; }

    /// <summary>Who belongs to the project.</summary>
    public required Roster Roster { get; init; }

    /// <summary>
    /// The certificate's key, PEM of PKCS#8, in the clear or encrypted; null where the member has it already.
    /// </summary>
    public string? PrivateKey { get; init; }
}
