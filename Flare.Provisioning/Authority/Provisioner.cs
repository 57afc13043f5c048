using System.Security.Cryptography.X509Certificates;
using Flare.Transport;

namespace Flare.Provisioning;

/// <summary>
/// A project's certificate authority: it makes the root, the startup kits and the rosters. It works on a folder of its
/// own, whose holder decides who takes part; it needs no network, and should not be the server, who could invent sites.
/// Running it again makes nothing new unless asked to. Not for several threads at once.
/// </summary>
public sealed partial class Provisioner : IDisposable
{
    private readonly AuthorityFolder _folder;
    private readonly string? _passphrase;
    private readonly TimeProvider _time;
    private readonly List<X509Certificate2> _roots = []; // the newest last
    private AuthorityFile? _state;
    private MemberKey? _rootKey;
    private Roster? _roster;

    private Provisioner(string folder, string? passphrase, TimeProvider time) =>
        (_folder, _passphrase, _time) = (new(folder), passphrase, time);

    /// <summary>Opens an authority's folder, or an empty one for a new authority.</summary>
    /// <param name="folder">The folder; made if it is not there, for its owner alone.</param>
    /// <param name="passphrase">What the root's key is encrypted with; null leaves it in the clear, in a file that its
    /// owner alone may read.</param>
    /// <param name="time">The clock; the system's unless given.</param>
    /// <exception cref="FlareException">The passphrase is wrong, the folder is damaged, or in use.</exception>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    public static Provisioner Open(string folder, string? passphrase = null, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var provisioner = new Provisioner(folder, passphrase, time ?? TimeProvider.System);
        try
        {
            provisioner.Read();
            return provisioner;
        }
        catch
        {
            provisioner.Dispose();
            throw;
        }
    }

    /// <summary>The newest roster; null before the first run.</summary>
    public Roster? Roster => _roster;

    /// <summary>The file with the newest roster: servers and sites take it as it is, since it is signed.</summary>
    public string RosterPath => _folder.RosterPath;

    /// <summary>SHA-256 of the roots, lower hexadecimal, the newest last: for members to compare with their
    /// kit's.</summary>
    public IReadOnlyList<string> RootFingerprints => [.. _roots.Select(Hash)];

    /// <summary>All certificates that were made, in their order.</summary>
    public IReadOnlyList<IssuedCertificate> Certificates =>
        [.. (_state?.Issued ?? []).Select(i =>
        {
            using var certificate = Load(i.Certificate);
            return new IssuedCertificate(
                NameOf(certificate), certificate.SerialNumber, FromOf(certificate), UntilOf(certificate),
                i.Revoked is not null);
        })];

    /// <summary>Who has no certificate that holds longer than a while from now: to be renewed.</summary>
    /// <param name="within">How far to look ahead.</param>
    public IReadOnlyList<string> Due(TimeSpan within)
    {
        var then = Now + within;
        var certificates = Certificates;
        return [.. (_state?.Members ?? []).Select(m => m.Name).Where(name =>
            certificates.Any(c => c.Member.Name == name)
            && !certificates.Any(c => c.Member.Name == name && !c.IsRevoked && c.Until > then))];
    }

    /// <summary>Closes the folder and forgets the key.</summary>
    public void Dispose()
    {
        _folder.Dispose();
        _rootKey?.Dispose();
        foreach (var root in _roots) root.Dispose();
    }

    // X.509 counts whole seconds.
    private DateTimeOffset Now => DateTimeOffset.FromUnixTimeSeconds(_time.GetUtcNow().ToUnixTimeSeconds());

    private AuthorityFile State => _state
        ?? throw new InvalidOperationException("The authority has no project yet: call Provision first.");

    private X509Certificate2 Root => _roots[^1];

    private IReadOnlyList<ReadOnlyMemory<byte>> TrustRoots =>
        [.. Enumerable.Reverse(_roots).Select(r => (ReadOnlyMemory<byte>)r.RawData)];

    private void Read()
    {
        if (_folder.Read() is not { } file) return;
        foreach (var root in file.Roots) _roots.Add(Load(root.Certificate));
        _rootKey = _folder.ReadKey(file.Roots[^1].Number, _passphrase);
        if (File.Exists(_folder.RosterPath))
            _roster = Transport.Roster.Parse(File.ReadAllBytes(_folder.RosterPath), TrustRoots, _folder.RosterPath);
        _state = file;
    }

    private T Signing<T>(Func<KitSigner, T> sign)
    {
        using var authority = _rootKey!.Join(Root);
        using var cross = State.Roots is [.., { Cross: { } pem }] ? Load(pem) : null;
        return sign(new(authority, cross is null ? [] : [cross]));
    }

    /// <summary>The roster of what the authority knows; a new version where it says something else than the
    /// last.</summary>
    private Roster RenewRoster(bool always = false)
    {
        var now = Now;
        var certificates = State.Issued.Select(i => (Entry: i, Certificate: Load(i.Certificate))).ToArray();
        try
        {
            var holding = certificates.Where(c => UntilOf(c.Certificate) > now)
                .ToLookup(c => c.Entry.Revoked is null);
            var keys = holding[true].ToLookup(
                c => c.Entry.Name, c => Provisioning.Certificates.Fingerprint(c.Certificate.PublicKey));
            var members = State.Members.Select(m => new RosterMember(m.Name, RoleOf(m.Role))
            {
                Keys = [.. keys[m.Name].Distinct().TakeLast(8)],
            }).ToArray();
            var revoked = holding[false].Select(
                c => new RevokedCertificate(c.Certificate.SerialNumber, c.Entry.Revoked!.Value, c.Entry.Reason))
                .ToArray();
            return Signing(signer =>
            {
                Roster Make(long version, DateTimeOffset issued) => Transport.Roster.Issue(
                    State.Project, version, issued, members, revoked, signer);
                if (_roster is null) return Make(1, now);
                var same = Make(_roster.Version, _roster.Issued);
                return same.Fingerprint == _roster.Fingerprint && !always ? _roster : Make(_roster.Version + 1, now);
            });
        }
        finally
        {
            foreach (var (_, certificate) in certificates) certificate.Dispose();
        }
    }

    /// <summary>Keeps what was changed, and the roster that follows from it.</summary>
    private void Commit(bool always = false)
    {
        _folder.Write(State);
        var roster = RenewRoster(always);
        if (ReferenceEquals(roster, _roster)) return;
        _folder.WriteRoster(roster);
        _roster = roster;
    }

    private IssuedEntry Certify(PublicKey key, CertifiedName member)
    {
        var now = Now;
        // A roster cannot know a key that is newer than it: so a certificate begins after the last roster, or a peer
        // that has only that one would take the key for a replaced one.
        var from = now - Provisioning.Certificates.Backdated;
        if (_roster is not null && from <= _roster.Issued) from = _roster.Issued.AddSeconds(1);
        using var certificate = Provisioning.Certificates.Member(
            key, member, member.Role == FlareRole.Server ? ServerOf(State) : null, Root, _rootKey!, from,
            now.AddDays(State.CertificateDays));
        var entry = new IssuedEntry(member.Name, certificate.ExportCertificatePem());
        State.Issued.Add(entry);
        return entry;
    }

    private StartupKit KitOf(IssuedEntry entry, string? privateKey)
    {
        using var certificate = Load(entry.Certificate);
        var chain = new List<ReadOnlyMemory<byte>> { certificate.RawData };
        // Whoever trusts only the root before needs the way from this one to it.
        if (certificate.Issuer == Root.Subject && State.Roots is [.., { Cross: { } pem }])
        {
            using var cross = Load(pem);
            chain.Add(cross.RawData);
        }
        return Signing(signer => StartupKit.Issue(
            new()
            {
                Project = State.Project, Member = NameOf(certificate),
                Addresses = [.. State.Addresses.Select(a => new Uri(a))], Certificates = chain,
                TrustRoots = TrustRoots, Roster = _roster!, PrivateKey = privateKey,
            },
            signer));
    }

    private static ProjectServer ServerOf(AuthorityFile file) =>
        new(file.ServerName, [.. file.Addresses.Select(a => new Uri(a))]) { Hosts = file.Hosts };

    private MemberEntry MemberOf(string name) => State.Members.FirstOrDefault(m => m.Name == name)
        ?? throw new FlareException(
            ErrorIds.Identity, $"'{name}' is no member of the project '{State.Project}'; add it to the project file "
            + "and run the provisioner.");

    private static FlareRole RoleOf(string word) => Enum.Parse<FlareRole>(word);

    private static CertifiedName NameOf(X509Certificate2 certificate) => CertifiedName.Read(certificate, out var fault)
        ?? throw new FlareException(ErrorIds.Identity, $"A certificate of the authority cannot be used: {fault}.");

    private static X509Certificate2 Load(string pem) => X509Certificate2.CreateFromPem(pem);

    private static DateTimeOffset FromOf(X509Certificate2 c) => Provisioning.Certificates.Utc(c.NotBefore);

    private static DateTimeOffset UntilOf(X509Certificate2 c) => Provisioning.Certificates.Utc(c.NotAfter);

    private static string Hash(X509Certificate2 certificate) =>
        Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(certificate.RawData));
}
