namespace Flare.Transport;

/// <summary>A member of a project.</summary>
/// <param name="Name">Its name; no two members have one.</param>
/// <param name="Role">What it is.</param>
public sealed record RosterMember(string Name, FlareRole Role)
{
    internal const int MaxKeys = 8, MaxFurtherKeys = 16;

    /// <summary>
    /// SHA-256 of the public keys (SPKI, lower hexadecimal) that the authority has certified for it and that are in
    /// force, at most 8: more than one while a key is replaced.
    /// </summary>
    public IReadOnlyList<string> Keys { get; init; } = [];

    /// <summary>Public keys that it has for other ends than its certificate's; at most 16.</summary>
    public IReadOnlyList<RosterKey> FurtherKeys { get; init; } = [];

    /// <summary>Name and role.</summary>
    public CertifiedName Certified => new(Role, Name);
}

/// <summary>A public key for one purpose.</summary>
/// <param name="Purpose">What it is for: 1 to 64 of <c>a-z</c>, <c>0-9</c>, <c>.</c>, <c>-</c>.</param>
/// <param name="PublicKey">The key, as its purpose writes it; 1 to 4,096 bytes.</param>
public sealed record RosterKey(string Purpose, ReadOnlyMemory<byte> PublicKey);

/// <summary>A certificate that no longer holds.</summary>
/// <param name="Serial">Its serial number, in hexadecimal as X.509 tools show it.</param>
/// <param name="Since">When it was revoked.</param>
/// <param name="Reason">Why, for people; at most 200 characters.</param>
public sealed record RevokedCertificate(string Serial, DateTimeOffset Since, string? Reason = null);
