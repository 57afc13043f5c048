using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>
/// Who this process is in its project, and whom it believes: a startup kit with its key opened. Safe to use from
/// several threads; dispose of it once no connection uses it.
/// </summary>
public sealed partial class FlareIdentity : IDisposable
{
    private readonly CertificateList _roots;
    private readonly CertificateList _intermediates;
    private readonly Lock _lock = new();
    private volatile StartupKit _kit;
    private SslStreamCertificateContext? _context;
    private volatile bool _isDisposed;

    private FlareIdentity(StartupKit kit, X509Certificate2 certificate)
    {
        (_kit, Certificate) = (kit, certificate);
        Source = new(this);
        _roots = new(kit.TrustRoots);
        _intermediates = new(kit.Certificates.Skip(1));
    }

    /// <summary>The certificate with its key; disposed of with the identity.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>What stands between the certificate and a root; disposed of with the identity.</summary>
    public X509Certificate2Collection Intermediates => _intermediates.Collection;

    /// <summary>The roots that are trusted; disposed of with the identity.</summary>
    public X509Certificate2Collection Roots => _roots.Collection;

    /// <summary>The project.</summary>
    public string Project => _kit.Project;

    /// <summary>Role and name.</summary>
    public CertifiedName Member => _kit.Member;

    /// <summary>The name.</summary>
    public string Name => _kit.Name;

    /// <summary>The role.</summary>
    public FlareRole Role => _kit.Role;

    /// <summary>Where the server is, in the order in which to try.</summary>
    public IReadOnlyList<Uri> Addresses => _kit.Addresses;

    /// <summary>The newest roster that is known.</summary>
    public Roster Roster => _kit.Roster;

    /// <summary>The kit, with the newest roster that is known.</summary>
    public StartupKit Kit => _kit;

    /// <summary>What an <see cref="SslStream"/> presents: the certificate and the intermediates.</summary>
    public SslStreamCertificateContext TlsContext
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            lock (_lock)
                return _context ??= SslStreamCertificateContext.Create(Certificate, Intermediates, offline: true);
        }
    }

    /// <summary>Opens a kit.</summary>
    /// <param name="kit">The kit.</param>
    /// <param name="passphrase">The key's passphrase; null where it has none.</param>
    /// <exception cref="FlareException">The kit has no key, the passphrase is wrong, or the key is
    /// another's.</exception>
    public static FlareIdentity Load(StartupKit kit, string? passphrase = null)
    {
        ArgumentNullException.ThrowIfNull(kit);
        if (kit.PrivateKey is null)
        {
            throw Refuse(kit, "it has no private key: it renews a kit that has one (StartupKit.Renew), or its key "
                + "was made at the site and is to be joined with it");
        }
        if (kit.IsKeyEncrypted && passphrase is null) throw Refuse(kit, "its private key wants a passphrase");
        using var bare = X509CertificateLoader.LoadCertificate(kit.Certificates[0].Span);
        try
        {
            return new(kit, PrivateKeys.Join(bare, kit.PrivateKey, passphrase));
        }
        catch (CryptographicException e)
        {
            throw Refuse(kit, kit.IsKeyEncrypted
                ? "the passphrase of its private key is wrong, or the key is damaged"
                : "its private key is damaged", e);
        }
        catch (InvalidDataException e)
        {
            throw Refuse(kit, $"its private key {e.Message}: write it anew (openssl pkcs8 -topk8 -iter 600000)", e);
        }
        catch (ArgumentException e)
        {
            throw Refuse(kit, "its private key is not the certificate's", e);
        }
    }

    /// <summary>Opens a kit's file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="passphrase">The key's passphrase; null where it has none.</param>
    /// <exception cref="FlareException">It is no kit, was changed, or its key cannot be opened.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static FlareIdentity Load(string path, string? passphrase = null) =>
        Load(StartupKit.Load(path), passphrase);

    /// <summary>Opens a kit whose key lies elsewhere: in the platform's store of certificates, in a device.</summary>
    /// <param name="kit">The kit; its own key, if it has one, is not used.</param>
    /// <param name="certificate">The certificate with its key; the identity takes it over.</param>
    /// <exception cref="FlareException">It has no key, or is not the kit's certificate.</exception>
    public static FlareIdentity Load(StartupKit kit, X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(kit);
        ArgumentNullException.ThrowIfNull(certificate);
        if (!certificate.RawDataMemory.Span.SequenceEqual(kit.Certificates[0].Span))
            throw Refuse(kit, "the certificate that was given is not the kit's");
        if (!certificate.HasPrivateKey) throw Refuse(kit, "the certificate that was given has no private key");
        return new(kit, certificate);
    }

    /// <summary>The one source of this identity, which tells of newer rosters.</summary>
    internal IdentitySource.Fixed Source { get; }

    /// <summary>Takes a roster from anybody, if it is newer than what is known.</summary>
    /// <param name="utf8">Its file.</param>
    /// <returns>False where it is the one that is known already.</returns>
    /// <exception cref="FlareException">It is no roster, of another project, older, or not signed by whom this identity
    /// trusts. What is known stays.</exception>
    public bool TakeRoster(ReadOnlySpan<byte> utf8)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return TakeRoster(Roster.Parse(utf8, _kit.TrustRoots));
    }

    /// <summary>Takes a roster, if it is newer than what is known.</summary>
    /// <returns>False where it is the one that is known already.</returns>
    /// <exception cref="FlareException">It is of another project, older, or not signed by whom this identity
    /// trusts.</exception>
    public bool TakeRoster(Roster roster)
    {
        ArgumentNullException.ThrowIfNull(roster);
        bool isNewer;
        lock (_lock)
        {
            isNewer = roster.Version > _kit.Roster.Version;
            _kit = _kit.WithRoster(roster);
        }
        if (isNewer) Source.Tell();
        return isNewer;
    }

    /// <summary>Disposes of the certificates and the key.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        Certificate.Dispose();
        _roots.Dispose();
        _intermediates.Dispose();
    }

    private static FlareException Refuse(StartupKit kit, string what, Exception? inner = null) =>
        Words.Refuse($"The startup kit of {kit.Member}", what, inner);
}
