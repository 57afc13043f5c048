using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Signatures with a certificate's key: ECDSA, or RSA with PSS, over SHA-256.</summary>
internal static class Signatures
{
    public const int MaxBytes = 1024;

    /// <exception cref="CryptographicException">The key does not sign.</exception>
    public static byte[] Sign(X509Certificate2 certificate, ReadOnlySpan<byte> message)
    {
        using var ecdsa = certificate.GetECDsaPrivateKey();
        if (ecdsa is not null) return ecdsa.SignData(message, HashAlgorithmName.SHA256);
        using var rsa = certificate.GetRSAPrivateKey();
        return rsa?.SignData(message.ToArray(), HashAlgorithmName.SHA256, RSASignaturePadding.Pss)
            ?? throw new CryptographicException("The certificate has no private key, or of a kind that does not sign.");
    }

    public static bool Verify(X509Certificate2 certificate, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        if (signature.IsEmpty || signature.Length > MaxBytes) return false;
        try
        {
            using var ecdsa = certificate.GetECDsaPublicKey();
            if (ecdsa is not null) return ecdsa.VerifyData(message, signature, HashAlgorithmName.SHA256);
            using var rsa = certificate.GetRSAPublicKey();
            return rsa is not null
                && rsa.VerifyData(message, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pss);
        }
        catch (CryptographicException)
        {
            return false; // a key that is no point of its curve, or of another size than it says
        }
    }

    /// <summary>The SHA-256 of a certificate's public key with its algorithm (SPKI), as lower hexadecimal.</summary>
    public static string Fingerprint(X509Certificate2 certificate) =>
        Convert.ToHexStringLower(SHA256.HashData(certificate.PublicKey.ExportSubjectPublicKeyInfo()));
}
