using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>A certificate authority that signs startup kits and rosters.</summary>
public sealed class KitSigner
{
    private readonly X509Certificate2 _authority;
    private readonly X509Certificate2[] _chain;

    /// <summary>Creates a signer.</summary>
    /// <param name="authority">The authority's certificate, with its key; it stays the caller's.</param>
    /// <param name="crossSigned">While roots are changed: the authority's key in certificates that the root before
    /// signed, so that whoever trusts only that one believes the signature too.</param>
    /// <exception cref="ArgumentException">The certificate is no authority's, or has no key.</exception>
    public KitSigner(X509Certificate2 authority, IEnumerable<X509Certificate2>? crossSigned = null)
    {
        ArgumentNullException.ThrowIfNull(authority);
        if (!authority.HasPrivateKey)
            throw new ArgumentException("The authority's certificate has no private key.", nameof(authority));
        _authority = authority;
        _chain = [authority, .. crossSigned ?? []];
        if (!_chain.All(CaSignature.IsAuthority))
            throw new ArgumentException("A certificate is not that of a certificate authority.", nameof(authority));
        if (_chain.Length > CaSignature.MaxCertificates)
            throw new ArgumentException("There are too many cross-signed certificates.", nameof(crossSigned));
        if (_chain.Any(c => Signatures.Fingerprint(c) != Signatures.Fingerprint(authority)))
            throw new ArgumentException("A cross-signed certificate is for another key.", nameof(crossSigned));
    }

    internal CaSignature Sign(byte[] message) => new(
        [.. _chain.Select(c => (ReadOnlyMemory<byte>)c.RawData)], Signatures.Sign(_authority, message));
}

/// <summary>An authority's signature, with the certificates that its key has: of a root, or cross-signed.</summary>
internal sealed record CaSignature(IReadOnlyList<ReadOnlyMemory<byte>> Certificates, byte[] Value)
{
    public const int MaxCertificates = 4;

    public static bool IsAuthority(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509BasicConstraintsExtension>().Any(e => e.CertificateAuthority)
        && certificate.Extensions.OfType<X509KeyUsageExtension>()
            .All(e => e.KeyUsages.HasFlag(X509KeyUsageFlags.KeyCertSign));

    /// <summary>Why the signature does not hold, as a clause; null where it does.</summary>
    /// <param name="message">What is signed.</param>
    /// <param name="roots">Who is trusted.</param>
    public string? Fault(byte[] message, IReadOnlyList<ReadOnlyMemory<byte>> roots)
    {
        using var trusted = new CertificateList(roots);
        using var given = new CertificateList(Certificates);
        foreach (var certificate in given.Collection)
        {
            if (!IsTrusted(certificate, trusted.Collection)) continue;
            return Signatures.Verify(certificate, message, Value) ? null
                : "its signature does not fit: it was changed after the certificate authority signed it";
        }
        return $"it is signed by '{Words.Of(given.Collection[0].Subject)}', which none of the trusted roots "
            + $"({string.Join(", ", trusted.Collection.Select(r => $"'{Words.Of(r.Subject)}'"))}) vouches for";
    }

    private static bool IsTrusted(X509Certificate2 certificate, X509Certificate2Collection roots)
    {
        try
        {
            if (!IsAuthority(certificate)) return false;
            if (roots.Any(r => Signatures.Fingerprint(r) == Signatures.Fingerprint(certificate))) return true;
            using var chain = new PeerChain(certificate, roots, []);
            // A kit is read without a clock: when certificates hold is looked at when they are shown.
            return chain.Build(DateTimeOffset.UnixEpoch, ignoreTime: true);
        }
        catch (CryptographicException)
        {
            return false; // so malformed that the platform does not look further
        }
    }
}
