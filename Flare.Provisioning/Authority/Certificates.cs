using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Flare.Transport;

namespace Flare.Provisioning;

/// <summary>Certificates of a project, made with the platform's parts.</summary>
internal static class Certificates
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1", ClientUse = "1.3.6.1.5.5.7.3.2";
    private const int MostCommonName = 64;

    /// <summary>How far back a certificate begins, for clocks that are behind.</summary>
    public static readonly TimeSpan Backdated = TimeSpan.FromHours(1);

    public static X509Certificate2 Root(MemberKey key, string project, int number, DateTimeOffset now, int years)
    {
        var request = key.Request(CommonName($"{project} root {number}"));
        ExtendAuthority(request);
        using var withKey = request.CreateSelfSigned(now - Backdated, now.AddYears(years));
        return X509CertificateLoader.LoadCertificate(withKey.RawData);
    }

    /// <summary>A root's key in a certificate that the root before has signed.</summary>
    public static X509Certificate2 Cross(X509Certificate2 root, X509Certificate2 before, MemberKey beforeKey)
    {
        var request = new CertificateRequest(root.SubjectName, root.PublicKey, HashAlgorithmName.SHA256);
        ExtendAuthority(request);
        request.CertificateExtensions.Add(
            X509AuthorityKeyIdentifierExtension.CreateFromCertificate(before, true, false));
        return request.Create(
            before.SubjectName, beforeKey.Generator, Utc(root.NotBefore),
            Earlier(Utc(root.NotAfter), Utc(before.NotAfter)), Serial());
    }

    /// <summary>A member's certificate.</summary>
    public static X509Certificate2 Member(
        PublicKey publicKey, CertifiedName name, ProjectServer? server, X509Certificate2 root, MemberKey rootKey,
        DateTimeOffset from, DateTimeOffset until)
    {
        var request = new CertificateRequest(CommonName(name.Name), publicKey, HashAlgorithmName.SHA256);
        var extensions = request.CertificateExtensions;
        extensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        extensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        extensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(name.Role == FlareRole.Server ? ServerUse : ClientUse)], critical: false));
        extensions.Add(new X509SubjectKeyIdentifierExtension(publicKey, critical: false));
        extensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(root, true, false));
        extensions.Add(name.ToExtension(server?.DnsNames, server?.IpAddresses));
        return request.Create(
            root.SubjectName, rootKey.Generator, from, Earlier(until, Utc(root.NotAfter)), Serial());
    }

    public static string Fingerprint(PublicKey key) =>
        Convert.ToHexStringLower(SHA256.HashData(key.ExportSubjectPublicKeyInfo()));

    public static DateTimeOffset Utc(DateTime local) => new(local.ToUniversalTime());

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;

    private static void ExtendAuthority(CertificateRequest request)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(
            X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign | X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
    }

    // For people: cut to what X.509 allows. The name that counts is among the alternative names.
    private static X500DistinguishedName CommonName(string name)
    {
        while (name.Length > MostCommonName)
            name = name[..(char.IsLowSurrogate(name[^1]) ? name.Length - 2 : name.Length - 1)];
        var builder = new X500DistinguishedNameBuilder();
        builder.AddCommonName(name);
        return builder.Build();
    }

    private static byte[] Serial()
    {
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)(serial[0] & 0x7f | 0x40); // positive, and always of one length
        return serial;
    }
}
