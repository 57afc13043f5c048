using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>Certificates that are disposed of together.</summary>
internal sealed class CertificateList : IDisposable
{
    public CertificateList(IEnumerable<ReadOnlyMemory<byte>> certificates)
    {
        foreach (var bytes in certificates) Collection.Add(X509CertificateLoader.LoadCertificate(bytes.Span));
    }

    public X509Certificate2Collection Collection { get; } = [];

    public void Dispose()
    {
        foreach (var certificate in Collection) certificate.Dispose();
    }
}
