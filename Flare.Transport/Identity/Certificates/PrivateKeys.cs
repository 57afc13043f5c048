using System.Formats.Asn1;
using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Private keys as text: PKCS#8, in the clear or encrypted.</summary>
internal static class PrivateKeys
{
    // Some 4 s; what is asked for today is 0.6 million.
    private const int MaxIterations = 10_000_000;
    private const string Pbes2 = "1.2.840.113549.1.5.13";

    /// <summary>The certificate with its key; the caller's to dispose of.</summary>
    /// <exception cref="CryptographicException">The key is damaged, or the passphrase wrong.</exception>
    /// <exception cref="InvalidDataException">To try the passphrase would take too long, and why.</exception>
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
        if (isEncrypted) CheckIterations(pem);
        try
        {
            if (isEncrypted) key.ImportFromEncryptedPem(pem, passphrase);
            else key.ImportFromPem(pem);
        }
        // No text of a key, or a key on a curve that nobody knows.
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new CryptographicException("The text holds no key.", e);
        }
    }

    // Nobody has signed the key: whoever changes the file could have us count for hours.
    private static void CheckIterations(string pem)
    {
        try
        {
            for (var rest = pem.AsSpan(); PemEncoding.TryFind(rest, out var found); rest = rest[found.Location.End..])
            {
                if (!rest[found.Label].SequenceEqual("ENCRYPTED PRIVATE KEY")) continue;
                var iterations = IterationsOf(Convert.FromBase64String(rest[found.Base64Data].ToString()));
                if (iterations <= MaxIterations) continue;
                var shown = iterations <= long.MaxValue ? Invariant($"{iterations:N0}") : "very many";
                throw new InvalidDataException(
                    Invariant($"is encrypted with {shown} iterations, of at most {MaxIterations:N0}"));
            }
        }
        catch (AsnContentException e)
        {
            throw new CryptographicException("The text holds no key.", e);
        }
    }

    // RFC 5958, and the parameters of RFC 8018: of PBES2 those of its PBKDF2, else salt and count alone.
    private static BigInteger IterationsOf(byte[] der)
    {
        var algorithm = new AsnReader(der, AsnEncodingRules.BER).ReadSequence().ReadSequence();
        var isPbes2 = algorithm.ReadObjectIdentifier() == Pbes2;
        var parameters = algorithm.ReadSequence();
        if (isPbes2)
        {
            var derivation = parameters.ReadSequence();
            derivation.ReadObjectIdentifier();
            parameters = derivation.ReadSequence();
        }
        parameters.ReadOctetString(); // the salt
        return parameters.ReadInteger();
    }

    private static X509Certificate2 Usable(X509Certificate2 certificate)
    {
        // Windows' TLS takes no key that lies in memory alone.
        if (!OperatingSystem.IsWindows()) return certificate;
        using (certificate)
            return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }
}
