namespace Flare.Provisioning;

/// <summary>What a run of the provisioner did.</summary>
public sealed record ProvisioningResult
{
    /// <summary>The kits that were made, by their files.</summary>
    public required IReadOnlyList<string> Created { get; init; }

    /// <summary>The sites that make their own key and have no certificate yet: each wants a token.</summary>
    public required IReadOnlyList<string> AwaitingEnrolment { get; init; }

    /// <summary>Who was on the roster before and is in the project file no more: nobody believes them now.</summary>
    public required IReadOnlyList<string> Removed { get; init; }

    /// <summary>What an operator should see to.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>The roster, a new version where anything has changed.</summary>
    public required Transport.Roster Roster { get; init; }
}

/// <summary>A certificate of a member.</summary>
/// <param name="Member">Whose it is.</param>
/// <param name="Serial">Its serial number, in hexadecimal.</param>
/// <param name="From">When it begins to hold.</param>
/// <param name="Until">When it expires.</param>
/// <param name="IsRevoked">Whether it is revoked.</param>
public sealed record IssuedCertificate(
    Transport.CertifiedName Member, string Serial, DateTimeOffset From, DateTimeOffset Until, bool IsRevoked);
