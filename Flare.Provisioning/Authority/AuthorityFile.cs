using System.Text.Json.Serialization;

namespace Flare.Provisioning;

// What a certificate authority remembers: authority.json.
internal sealed record AuthorityFile
{
    public required string Format { get; init; }
    public required string Project { get; set; }
    public required int CertificateDays { get; set; }
    public required KeyKind Keys { get; set; }
    public required string ServerName { get; set; }
    public required string[] Addresses { get; set; }
    public required string[] Hosts { get; set; }
    public required List<RootEntry> Roots { get; init; }
    public required List<MemberEntry> Members { get; set; }
    public required List<IssuedEntry> Issued { get; init; }
    public required List<TokenEntry> Tokens { get; init; }
}

/// <summary>A root; its key lies in a file of its own.</summary>
internal sealed record RootEntry(int Number, string Certificate, string? Cross);

internal sealed record MemberEntry(string Name, string Role, bool MakesOwnKey);

/// <summary>A certificate that was made.</summary>
internal sealed record IssuedEntry(string Name, string Certificate)
{
    /// <summary>The kit's file, until it is known to be written.</summary>
    public string? Pending { get; set; }
    public DateTimeOffset? Revoked { get; set; }
    public string? Reason { get; set; }
}

internal sealed record TokenEntry(string Id, string Name, byte[] Secret, DateTimeOffset Until)
{
    /// <summary>The public key that was certified for it: it is used up.</summary>
    public string? UsedFor { get; set; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true,
    AllowDuplicateProperties = false, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AuthorityFile))]
[JsonSerializable(typeof(EnrolmentFile))]
internal sealed partial class ProvisioningJson : JsonSerializerContext;
