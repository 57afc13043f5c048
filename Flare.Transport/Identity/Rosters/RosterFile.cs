using System.Text.Json.Serialization;

namespace Flare.Transport;

// The files as System.Text.Json reads them: what is there that should not be, is there twice, or lacks, is refused.
internal sealed record RosterFile
{
    public required string Format { get; init; }
    public required string Project { get; init; }
    public required long Version { get; init; }
    public required DateTimeOffset Issued { get; init; }
    public required MemberFile[] Members { get; init; }
    public required RevokedFile[] Revoked { get; init; }
    public required SignatureFile Signature { get; init; }
}

internal sealed record MemberFile
{
    public required string Name { get; init; }
    public required string Role { get; init; }
    public required string[] Keys { get; init; }
    public FurtherKeyFile[]? FurtherKeys { get; init; }
}

internal sealed record FurtherKeyFile
{
    public required string Purpose { get; init; }
    public required byte[] PublicKey { get; init; }
}

internal sealed record RevokedFile
{
    public required string Serial { get; init; }
    public required DateTimeOffset Since { get; init; }
    public string? Reason { get; init; }
}

internal sealed record SignatureFile
{
    public required string[] Certificates { get; init; }
    public required byte[] Value { get; init; }
}

internal sealed record KitFile
{
    public required string Format { get; init; }
    public required string Project { get; init; }
    public required string Name { get; init; }
    public required string Role { get; init; }
    public required string[] Addresses { get; init; }
    public required string[] Certificates { get; init; }
    public required string[] TrustRoots { get; init; }
    public required long RosterVersion { get; init; }
    public required SignatureFile Signature { get; init; }
    public string? PrivateKey { get; init; }
    public required RosterFile Roster { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false, RespectNullableAnnotations = true, MaxDepth = 16,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(KitFile))]
[JsonSerializable(typeof(RosterFile))]
internal sealed partial class IdentityJson : JsonSerializerContext;
