using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Flare.Provisioning;

/// <summary>
/// What a site proves with that it may enrol, once: an id, a secret, and the fingerprint of the root, so that the site
/// knows the answer for its project's.
/// </summary>
internal sealed record EnrolmentToken(string Id, byte[] Secret, string Root)
{
    private const int IdBytes = 8, SecretBytes = 32, RootCharacters = 64;

    public static EnrolmentToken Generate(string root) => new(
        Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdBytes)),
        RandomNumberGenerator.GetBytes(SecretBytes), root);

    /// <exception cref="FlareException">It is no token.</exception>
    public static EnrolmentToken Read(string text)
    {
        var parts = text.Trim().Split('.');
        if (parts.Length == 3 && parts[0].Length == 2 * IdBytes && parts[2].Length == RootCharacters
            && Base64Url.IsValid(parts[1]))
        {
            var secret = Base64Url.DecodeFromUtf8(Encoding.ASCII.GetBytes(parts[1]));
            if (secret.Length == SecretBytes) return new(parts[0], secret, parts[2]);
        }
        throw new FlareException(
            ErrorIds.Identity, "The token cannot be used: it is not whole. Copy it as the authority wrote it.");
    }

    public override string ToString() => $"{Id}.{Base64Url.EncodeToString(Secret)}.{Root}";
}
