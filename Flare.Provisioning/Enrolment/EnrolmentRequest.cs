using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Flare.Provisioning;

internal sealed record EnrolmentFile
{
    public required string Format { get; init; }
    public required string Project { get; init; }
    public required string Name { get; init; }
    public required string Token { get; init; }
    public required string Request { get; init; }
    public required byte[] Proof { get; init; }
}

/// <summary>
/// A site's request for a certificate of its own key. Anybody may carry it, the server too: the token's secret is not
/// in it, and who changes it makes it worthless. Immutable.
/// </summary>
public sealed class EnrolmentRequest
{
    /// <summary>What a request's file has at most: 64 KiB.</summary>
    public const int MaxBytes = 64 * 1024;

    private const string Format = "flare-enrolment/1";
    private readonly EnrolmentFile _file;

    internal EnrolmentRequest(EnrolmentFile file) => _file = file;

    /// <summary>The project.</summary>
    public string Project => _file.Project;

    /// <summary>The site that asks.</summary>
    public string Name => _file.Name;

    internal string TokenId => _file.Token;

    internal string Pem => _file.Request;

    /// <summary>Reads a request that may come from anybody.</summary>
    /// <exception cref="FlareException">It is none.</exception>
    public static EnrolmentRequest Parse(ReadOnlySpan<byte> utf8)
    {
        try
        {
            if (utf8.Length > MaxBytes) throw Refuse($"it has {utf8.Length} bytes, of at most {MaxBytes}");
            var file = JsonSerializer.Deserialize(utf8, ProvisioningJson.Default.EnrolmentFile);
            if (file is null || file.Format != Format) throw Refuse($"its format is not '{Format}'");
            if (SiteName.Fault(file.Name) is { } fault) throw Refuse($"the name: {fault}");
            if (SiteName.Fault(file.Project) is { } wrong) throw Refuse($"the project: {wrong}");
            return new(file);
        }
        catch (JsonException e)
        {
            throw Refuse("it is no JSON of the kind that is due", e);
        }
    }

    /// <summary>The request's file, in UTF-8.</summary>
    public byte[] Write() =>
        JsonSerializer.SerializeToUtf8Bytes(_file, ProvisioningJson.Default.EnrolmentFile);

    internal static EnrolmentRequest Create(string project, string name, EnrolmentToken token, string pem) => new(new()
    {
        Format = Format, Project = project, Name = name, Token = token.Id, Request = pem,
        Proof = ProofOf(token.Secret, project, name, token.Id, pem),
    });

    internal bool IsProvenBy(byte[] secret) => CryptographicOperations.FixedTimeEquals(
        _file.Proof, ProofOf(secret, _file.Project, _file.Name, _file.Token, _file.Request));

    internal static FlareException Refuse(string what, Exception? inner = null) =>
        new(ErrorIds.Identity, $"The enrolment request cannot be used: {what}.", inner);

    private static byte[] ProofOf(byte[] secret, params ReadOnlySpan<string> parts)
    {
        using var mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, secret);
        mac.AppendData("flare enrolment v1"u8);
        var length = new byte[4];
        foreach (var part in parts)
        {
            var bytes = Encoding.UTF8.GetBytes(part);
            BinaryPrimitives.WriteInt32BigEndian(length, bytes.Length);
            mac.AppendData(length);
            mac.AppendData(bytes);
        }
        return mac.GetHashAndReset();
    }
}
