using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Flare.Transport;

namespace Flare.Provisioning;

// The authority's half of an enrolment: files in, files out.
public sealed partial class Provisioner
{
    private const int LeastRsaBits = 2048, MostRsaBits = 8192;

    /// <summary>Makes a token with which a site may enrol once. Give it to the site's operator by a safe way.</summary>
    /// <param name="name">The site; in the project file it says <c>key: site</c>.</param>
    /// <param name="validity">How long it may be used.</param>
    /// <exception cref="FlareException">It is no member, or has its key from its kit.</exception>
    public string CreateToken(string name, TimeSpan validity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(validity, TimeSpan.Zero);
        if (!MemberOf(name).MakesOwnKey)
        {
            throw Refuse(
                name, "its key comes with its kit: say 'key: site' in the project file to let it make its own");
        }
        var token = EnrolmentToken.Generate(Hash(Root));
        State.Tokens.RemoveAll(t => t.Until < Now);
        State.Tokens.Add(new(token.Id, name, token.Secret, Now + validity));
        _folder.Write(State);
        return token.ToString();
    }

    /// <summary>
    /// Certifies a site's own key. A request that comes again, as from a server that relays it, gets its certificate
    /// again; another key for the same token is refused.
    /// </summary>
    /// <param name="request">The site's request.</param>
    /// <returns>The site's kit, without the key; it need not be kept secret.</returns>
    /// <exception cref="FlareException">The token is not known, over or used up, the request was changed, or its key is
    /// too weak.</exception>
    public StartupKit Enrol(EnrolmentRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (request.Project != State.Project)
            throw EnrolmentRequest.Refuse($"it is for the project '{request.Project}', and this is '{State.Project}'");
        var token = State.Tokens.FirstOrDefault(t => t.Id == request.TokenId)
            ?? throw EnrolmentRequest.Refuse("its token is not known: it is over, or another authority's");
        if (!request.IsProvenBy(token.Secret) || token.Name != request.Name)
        {
            throw EnrolmentRequest.Refuse(
                $"it was changed on its way, or is not for '{token.Name}', whose token it names");
        }
        var key = KeyOf(request.Pem);
        var fingerprint = Provisioning.Certificates.Fingerprint(key);
        if (token.UsedFor == fingerprint && IssuedFor(request.Name, fingerprint) is { } before)
            return KitOf(before, null);
        if (token.UsedFor is not null)
            throw EnrolmentRequest.Refuse("its token was used for another key already: make another token");
        if (token.Until < Now) throw EnrolmentRequest.Refuse(Invariant($"its token is over since {token.Until:u}"));
        if (!MemberOf(request.Name).MakesOwnKey) throw Refuse(request.Name, "its key comes with its kit");
        var entry = Certify(key, new(FlareRole.Site, request.Name));
        token.UsedFor = fingerprint;
        Commit();
        return KitOf(entry, null);
    }

    private IssuedEntry? IssuedFor(string name, string fingerprint) => State.Issued.LastOrDefault(i =>
    {
        if (i.Name != name || i.Revoked is not null) return false;
        using var certificate = Load(i.Certificate);
        return Provisioning.Certificates.Fingerprint(certificate.PublicKey) == fingerprint;
    });

    private static PublicKey KeyOf(string pem)
    {
        try
        {
            // Its signature shows that whoever made it has the key; of what it says besides nothing is taken.
            var key = CertificateRequest.LoadSigningRequestPem(
                pem, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.Default, RSASignaturePadding.Pkcs1)
                .PublicKey;
            using var ecdsa = key.GetECDsaPublicKey();
            using var rsa = key.GetRSAPublicKey();
            if (ecdsa?.KeySize is 256 or 384 or 521 || rsa?.KeySize is >= LeastRsaBits and <= MostRsaBits) return key;
            throw EnrolmentRequest.Refuse("its key is of a kind or size that is not taken: ECDSA on P-256, P-384, "
                + $"P-521 and RSA from {LeastRsaBits} bits are");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw EnrolmentRequest.Refuse("it holds no request for a certificate, or its signature does not fit", e);
        }
    }
}
