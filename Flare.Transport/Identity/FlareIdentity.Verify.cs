using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

// Whom to believe.
public sealed partial class FlareIdentity
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1", ClientUse = "1.3.6.1.5.5.7.3.2";
    private const int LeastRsaBits = 2048;

    /// <summary>
    /// Who a peer is, by its certificate: one that a root of the project vouches for, that holds at this time, is not
    /// revoked, and has a name that is on the roster in this role. Whether the peer has the certificate's key is TLS's
    /// to show, or <see cref="VerifyChannel"/>'s.
    /// </summary>
    /// <param name="peer">The certificate; null where the peer shows none.</param>
    /// <param name="extra">What else it shows; nothing of it is trusted.</param>
    /// <param name="expected">What it must be.</param>
    /// <param name="now">The time.</param>
    public PeerProof Verify(
        X509Certificate2? peer, X509Certificate2Collection? extra, FlareRole expected, DateTimeOffset now)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (peer is null) return PeerProof.Refuse("it is missing: the peer shows no certificate");
        try
        {
            return Look(peer, extra ?? [], expected, now);
        }
        catch (CryptographicException e)
        {
            return PeerProof.Refuse($"it cannot be read: {Words.Of(e.Message)}");
        }
    }

    /// <summary>What is wrong with this identity's own certificate, as a peer would say it; null where all is
    /// well.</summary>
    /// <param name="now">The time.</param>
    public string? Fault(DateTimeOffset now) => Verify(Certificate, Intermediates, Role, now).Refusal;

    private PeerProof Look(
        X509Certificate2 peer, X509Certificate2Collection extra, FlareRole expected, DateTimeOffset now)
    {
        var roster = Roster;
        var name = CertifiedName.Read(peer, out var unnamed);
        var who = name is null ? "it" : $"it names {name} and";
        using var chain = new PeerChain(peer, Roots, [.. Intermediates, .. extra]);
        if (!chain.Build(now) && ChainFault(peer, chain, now) is { } fault) return PeerProof.Refuse($"{who} {fault}");
        foreach (var element in chain.Elements)
        {
            if (roster.FindRevoked(element.Certificate.SerialNumber) is not { } revoked) continue;
            return PeerProof.Refuse($"{who} is revoked since {Words.At(revoked.Since)}"
                + (revoked.Reason is null ? "" : $" ({Words.Of(revoked.Reason)})")
                + ": it takes a new kit with a new key");
        }
        if (name is null) return PeerProof.Refuse(unnamed!);
        if (name.Role != expected || !IsFor(peer, expected == FlareRole.Server ? ServerUse : ClientUse))
        {
            return PeerProof.Refuse(
                $"{who} does not prove a {expected.Word()}, which is due here: it has the wrong role");
        }
        if (peer.GetRSAPublicKey() is { } rsa)
        {
            using (rsa)
            {
                if (rsa.KeySize < LeastRsaBits)
                    return PeerProof.Refuse($"{who} has an RSA key of {rsa.KeySize} bits, of at least {LeastRsaBits}");
            }
        }
        return RosterFault(peer, name, roster) is { } missing
            ? PeerProof.Refuse($"{who} {missing}", unlisted: name) : PeerProof.Accept(name);
    }

    private string? ChainFault(X509Certificate2 peer, PeerChain chain, DateTimeOffset now)
    {
        // First what no renewal would mend.
        if ((chain.Flags & (X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain)) != 0)
        {
            return $"was issued by '{Words.Of(peer.Issuer)}', which none of the certificate authorities trusted here "
                + $"({string.Join(", ", Roots.Select(r => $"'{Words.Of(r.Subject)}'"))}) vouches for: "
                + "do both ends have kits of one project?";
        }
        var others = chain.Flags & ~X509ChainStatusFlags.NotTimeValid;
        if (others != X509ChainStatusFlags.NoError) return $"does not hold: {chain.Said}";
        if (TimeFault(peer, now) is { } time) return time;
        var authority = chain.Elements.Select(e => (e.Certificate.Subject, Fault: TimeFault(e.Certificate, now)))
            .FirstOrDefault(e => e.Fault is not null);
        return authority.Fault is null ? $"does not hold at {Words.At(now)}: {chain.Said}"
            : $"hangs on that of '{Words.Of(authority.Subject)}', which {authority.Fault}";
    }

    private static string? TimeFault(X509Certificate2 certificate, DateTimeOffset now)
    {
        var (from, until) = (Utc(certificate.NotBefore), Utc(certificate.NotAfter));
        if (now < from)
            return $"is not yet valid until {Words.At(from)}, and here it is {Words.At(now)}: are the clocks right?";
        return now >= until ? $"is expired since {Words.At(until)}, and here it is {Words.At(now)}: renew it" : null;
    }

    // The platform gives local times, of which an hour a year is ambiguous; these know which they are.
    private static DateTimeOffset Utc(DateTime local) => new(local.ToUniversalTime());

    private static bool IsFor(X509Certificate2 certificate, string use) => certificate.Extensions
        .OfType<X509EnhancedKeyUsageExtension>().Any(e => e.EnhancedKeyUsages.Cast<Oid>().Any(o => o.Value == use));

    private static string? RosterFault(X509Certificate2 peer, CertifiedName name, Roster roster)
    {
        if (roster.Find(name.Name) is not { } member)
        {
            return $"is not on the roster (version {roster.Version}): if it was added since, the certificate "
                + "authority has a newer one";
        }
        if (member.Role != name.Role)
            return $"is a {member.Role.Word()} on the roster (version {roster.Version}): it has the wrong role";
        // What was issued later than the roster, the roster cannot know: a renewed key is believed for its certificate.
        if (member.Keys.Count == 0 || Utc(peer.NotBefore) > roster.Issued
            || member.Keys.Contains(Signatures.Fingerprint(peer)))
            return null;
        return $"has a key that version {roster.Version} of the roster does "
            + "not list: it was replaced, or never was this member's, so its newest kit is due";
    }
}
