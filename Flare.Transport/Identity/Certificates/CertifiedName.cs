using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>
/// Who a certificate is for. It stands in the certificate's alternative names as a URI, such as
/// <c>flare:site:hospital-1</c>, in UTF-8 and percent-encoded: the common name is for people, has at most 64
/// characters, and proves nothing.
/// </summary>
public sealed record CertifiedName
{
    private const string Scheme = "flare:";
    private const string AlternativeNames = "2.5.29.17";
    private static readonly Asn1Tag UriTag = new(TagClass.ContextSpecific, 6);

    /// <summary>Creates a name.</summary>
    /// <param name="role">What it is.</param>
    /// <param name="name">Its name, at most 200 bytes in UTF-8.</param>
    /// <exception cref="ArgumentException">It cannot be a name.</exception>
    public CertifiedName(FlareRole role, string name)
    {
        if (role is not (FlareRole.Server or FlareRole.Site))
            throw new ArgumentOutOfRangeException(nameof(role), role, "There is no such role.");
        SiteName.Check(name, nameof(name));
        (Role, Name) = (role, name);
    }

    /// <summary>What it is.</summary>
    public FlareRole Role { get; }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>The name as certificates have it: <c>flare:site:St.%20Mary%27s</c>.</summary>
    public string Uri => $"{Scheme}{Role.Word()}:{System.Uri.EscapeDataString(Name)}";

    /// <summary>For sentences: <c>site 'hospital-1'</c>.</summary>
    public override string ToString() => $"{Role.Word()} '{Name}'";

    /// <summary>Reads a certificate's name. Whether the certificate is to be believed is another question.</summary>
    /// <param name="certificate">The certificate.</param>
    /// <param name="fault">Why it has no name, as a clause that begins with "it".</param>
    /// <returns>Null where it has none, more than one, or one that is not written as Flare writes it.</returns>
    public static CertifiedName? Read(X509Certificate2 certificate, out string? fault)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        fault = null;
        try
        {
            var names = Uris(certificate)
                .Where(u => u.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)).ToArray();
            if (names.Length == 1)
            {
                if (Parse(names[0]) is { } name) return name;
                fault = $"it has the name '{Words.Of(names[0])}', which is not written as Flare writes names";
            }
            else
            {
                fault = names.Length == 0
                    ? "it has no name of Flare's among its alternative names: it was not made for Flare"
                    : $"it has {names.Length} names of Flare's, and one is due";
            }
        }
        catch (AsnContentException)
        {
            fault = "it has alternative names that cannot be read";
        }
        return null;
    }

    /// <summary>The name of a URI; null where it is none, or is written in another way than <see cref="Uri"/>
    /// does.</summary>
    internal static CertifiedName? Parse(string uri)
    {
        var parts = uri.Split(':');
        if (parts.Length != 3 || parts[0] + ":" != Scheme || FlareRoles.Read(parts[1]) is not { } role) return null;
        var name = System.Uri.UnescapeDataString(parts[2]);
        if (SiteName.Fault(name) is not null) return null;
        var read = new CertifiedName(role, name);
        return read.Uri == uri ? read : null; // one name, one way to write it
    }

    /// <summary>The extension that puts the name into a certificate.</summary>
    /// <param name="dnsNames">Under which names a server is reached.</param>
    /// <param name="addresses">Under which addresses a server is reached.</param>
    public X509Extension ToExtension(IEnumerable<string>? dnsNames = null,
        IEnumerable<System.Net.IPAddress>? addresses = null)
    {
        // The platform's builder takes a System.Uri, which has its own mind about how a URI is written.
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteCharacterString(UniversalTagNumber.IA5String, Uri, UriTag);
            foreach (var dns in dnsNames ?? [])
                writer.WriteCharacterString(UniversalTagNumber.IA5String, dns, new(TagClass.ContextSpecific, 2));
            foreach (var address in addresses ?? [])
                writer.WriteOctetString(address.GetAddressBytes(), new(TagClass.ContextSpecific, 7));
        }
        return new X509Extension(AlternativeNames, writer.Encode(), critical: false);
    }

    /// <exception cref="AsnContentException">The names cannot be read.</exception>
    private static List<string> Uris(X509Certificate2 certificate)
    {
        var uris = new List<string>();
        foreach (var extension in certificate.Extensions)
        {
            if (extension.Oid?.Value != AlternativeNames) continue;
            var outer = new AsnReader(extension.RawData, AsnEncodingRules.DER);
            var names = outer.ReadSequence();
            outer.ThrowIfNotEmpty();
            while (names.HasData)
            {
                if (names.PeekTag().HasSameClassAndValue(UriTag))
                    uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, UriTag));
                else names.ReadEncodedValue();
            }
        }
        return uris;
    }
}
