using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Provisioning;

/// <summary>A private key of either kind.</summary>
internal sealed class MemberKey : IDisposable
{
    // What OWASP asks of PBKDF2 with SHA-256 in 2023; some 0.2 s.
    private const int Iterations = 600_000;

    private readonly AsymmetricAlgorithm _key;

    private MemberKey(AsymmetricAlgorithm key) => _key = key;

    public static MemberKey Generate(KeyKind kind) =>
        new(kind == KeyKind.Rsa3072 ? RSA.Create(3072) : ECDsa.Create(ECCurve.NamedCurves.nistP256));

    /// <exception cref="FlareException">It is no key, or the passphrase is wrong.</exception>
    public static MemberKey Read(string pem, string? passphrase, string source)
    {
        var isEncrypted = pem.Contains("-----BEGIN ENCRYPTED", StringComparison.Ordinal);
        if (isEncrypted && passphrase is null)
            throw new FlareException(ErrorIds.Identity, $"The key {source} wants a passphrase.");
        foreach (AsymmetricAlgorithm key in new AsymmetricAlgorithm[] { ECDsa.Create(), RSA.Create() })
        {
            try
            {
                if (isEncrypted) key.ImportFromEncryptedPem(pem, passphrase);
                else key.ImportFromPem(pem);
                return new(key);
            }
            catch (Exception e) when (e is CryptographicException or ArgumentException)
            {
                key.Dispose(); // of the other kind, or none at all
            }
        }
        throw new FlareException(ErrorIds.Identity, isEncrypted
            ? $"The key {source} cannot be opened: its passphrase is wrong, or it is damaged."
            : $"The key {source} is damaged.");
    }

    public string Write(string? passphrase) => passphrase is null ? _key.ExportPkcs8PrivateKeyPem()
        : _key.ExportEncryptedPkcs8PrivateKeyPem(
            passphrase, new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, Iterations));

    public CertificateRequest Request(X500DistinguishedName subject) => _key is ECDsa ecdsa
        ? new(subject, ecdsa, HashAlgorithmName.SHA256)
        : new(subject, (RSA)_key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);

    public PublicKey PublicKey => Request(new("CN=x")).PublicKey;

    public X509SignatureGenerator Generator => _key is ECDsa ecdsa ? X509SignatureGenerator.CreateForECDsa(ecdsa)
        : X509SignatureGenerator.CreateForRSA((RSA)_key, RSASignaturePadding.Pkcs1);

    public X509Certificate2 Join(X509Certificate2 certificate) => _key is ECDsa ecdsa
        ? certificate.CopyWithPrivateKey(ecdsa) : certificate.CopyWithPrivateKey((RSA)_key);

    public void Dispose() => _key.Dispose();
}
