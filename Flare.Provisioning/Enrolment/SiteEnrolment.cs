using System.Security.Cryptography.X509Certificates;
using System.Text;
using Flare.Transport;

namespace Flare.Provisioning;

/// <summary>The site's half of an enrolment: its key is made here and never leaves.</summary>
public static class SiteEnrolment
{
    /// <summary>Makes the site's key, if it is not there yet, and the request for its certificate.</summary>
    /// <param name="project">The project.</param>
    /// <param name="name">The site.</param>
    /// <param name="token">The token that the project's authority gave out.</param>
    /// <param name="keyPath">The key's file. One that is there is used, so asking again asks for the same key.</param>
    /// <param name="passphrase">What the key is encrypted with; null leaves it in the clear, in a file that its owner
    /// alone may read.</param>
    /// <param name="keys">The kind of key to make.</param>
    /// <exception cref="FlareException">The token is none, or the key that is there cannot be opened.</exception>
    /// <exception cref="ArgumentException">A name is none.</exception>
    /// <exception cref="IOException">The key cannot be written.</exception>
    public static EnrolmentRequest CreateRequest(
        string project, string name, string token, string keyPath, string? passphrase = null,
        KeyKind keys = KeyKind.EcdsaP256)
    {
        SiteName.Check(project, nameof(project));
        SiteName.Check(name, nameof(name));
        ArgumentNullException.ThrowIfNull(token);
        ArgumentException.ThrowIfNullOrEmpty(keyPath);
        var read = EnrolmentToken.Read(token);
        using var key = KeyOf(keyPath, passphrase, keys);
        // The authority takes the key alone: the name is the token's.
        var pem = key.Request(new X500DistinguishedName("CN=Flare enrolment")).CreateSigningRequestPem();
        return EnrolmentRequest.Create(project, name, read, pem);
    }

    /// <summary>Joins the kit that came back with the site's key.</summary>
    /// <param name="kit">The kit.</param>
    /// <param name="token">The token of the request: it says which root the kit must have.</param>
    /// <param name="keyPath">The key's file.</param>
    /// <param name="passphrase">The key's passphrase.</param>
    /// <returns>The kit with the key, encrypted as in its file; save it.</returns>
    /// <exception cref="FlareException">The kit is of another authority than the token, or for another key.</exception>
    public static StartupKit Complete(StartupKit kit, string token, string keyPath, string? passphrase = null)
    {
        ArgumentNullException.ThrowIfNull(kit);
        ArgumentNullException.ThrowIfNull(token);
        if (!kit.RootFingerprints.Contains(EnrolmentToken.Read(token).Root))
        {
            throw new FlareException(
                ErrorIds.Identity, $"The startup kit of {kit.Member} cannot be used: it is of another certificate "
                + "authority than the token. Somebody between the site and the authority may have made it.");
        }
        var whole = kit.WithPrivateKey(File.ReadAllText(keyPath));
        FlareIdentity.Load(whole, passphrase).Dispose(); // throws where the key is another's
        return whole;
    }

    private static MemberKey KeyOf(string path, string? passphrase, KeyKind keys)
    {
        if (File.Exists(path)) return MemberKey.Read(File.ReadAllText(path), passphrase, path);
        var key = MemberKey.Generate(keys);
        SecretFile.Write(path, Encoding.ASCII.GetBytes(key.Write(passphrase)), overwrite: false);
        return key;
    }
}
