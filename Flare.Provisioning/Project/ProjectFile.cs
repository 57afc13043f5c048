using System.Net;
using Flare.Transport;

namespace Flare.Provisioning;

/// <summary>
/// What a project is: its server, its sites, and how long certificates hold. Written in YAML by whoever runs the
/// project. Immutable.
/// </summary>
public sealed partial record ProjectFile
{
    /// <summary>What a project file has at most: 1 MiB.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>The project's name.</summary>
    public required string Project { get; init; }

    /// <summary>The kind of keys that are made; ECDSA on P-256 unless set.</summary>
    public KeyKind Keys { get; init; }

    /// <summary>How long a root certificate holds, in years, 1 to 30; 10 unless set.</summary>
    public int RootYears { get; init; } = 10;

    /// <summary>How long a member's certificate holds, in days, 1 to 825; 365 unless set.</summary>
    public int CertificateDays { get; init; } = 365;

    /// <summary>The server.</summary>
    public required ProjectServer Server { get; init; }

    /// <summary>The sites, in their order in the file.</summary>
    public required IReadOnlyList<ProjectSite> Sites { get; init; }
}

/// <summary>A project's server.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Addresses">Where sites reach it, in the order in which they try.</param>
public sealed record ProjectServer(string Name, IReadOnlyList<Uri> Addresses)
{
    /// <summary>Names and addresses under which it is reached besides, as by sites within its network.</summary>
    public IReadOnlyList<string> Hosts { get; init; } = [];

    internal IEnumerable<string> AllHosts => Addresses.Where(a => a.Scheme != "unix").Select(a => a.IdnHost)
        .Concat(Hosts).Distinct(StringComparer.OrdinalIgnoreCase);

    internal IEnumerable<IPAddress> IpAddresses =>
        AllHosts.Select(h => IPAddress.TryParse(h, out var ip) ? ip : null).OfType<IPAddress>();

    internal IEnumerable<string> DnsNames => AllHosts.Where(h => !IPAddress.TryParse(h, out _));
}

/// <summary>A project's site.</summary>
/// <param name="Name">Its name.</param>
/// <param name="MakesOwnKey">Whether its key is made at the site and never leaves it.</param>
public sealed record ProjectSite(string Name, bool MakesOwnKey)
{
    internal CertifiedName Certified => new(FlareRole.Site, Name);
}
