using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Private keys as text: PKCS#8, in the clear or encrypted.</summary>
internal static class PrivateKeys
{
    /// <summary>The certificate with its key; the caller's to dispose of.</summary>
    /// <exception cref="CryptographicException">The key is damaged, or the passphrase wrong.</exception>
    /// <exception cref="ArgumentException">The key is not the certificate's.</exception>
    public static X509Certificate2 Join(X509Certificate2 certificate, string pem, string? passphrase)
    {
        using var ecdsaPublic = certificate.GetECDsaPublicKey();
        if (ecdsaPublic is not null)
        {
            using var ecdsa = ECDsa.Create();
            Import(ecdsa, pem, passphrase);
            return Usable(certificate.CopyWithPrivateKey(ecdsa));
        }
        using var rsa = RSA.Create();
        Import(rsa, pem, passphrase);
        return Usable(certificate.CopyWithPrivateKey(rsa));
    }

    private static void Import(AsymmetricAlgorithm key, string pem, string? passphrase)
    {
        var isEncrypted = pem.Contains("-----BEGIN ENCRYPTED", StringComparison.Ordinal);
        try
        {
            if (isEncrypted) key.ImportFromEncryptedPem(pem, passphrase);
            else key.ImportFromPem(pem);
        }
        catch (ArgumentException e)
        {
            throw new CryptographicException("The text holds no key.", e);
        }
    }

    private static X509Certificate2 Usable(X509Certificate2 certificate)
    {
        // Windows' TLS takes no key that lies in memory alone.
        if (!OperatingSystem.IsWindows()) return certificate;
        using (certificate)
            return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }
}
