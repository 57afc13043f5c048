using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;
using Flare.Transport;

namespace Flare.Tests.Transport.Identity;

/// <summary>Kits and rosters from strangers: one exception type, nothing half-believed.</summary>
public class IdentityFuzzTests
{
    private const int Count = 4000;

    private static readonly string[] Pieces =
    [
        "null", "{}", "[]", "\"\"", "-1", "1e999", "9223372036854775808", "\"\\ud800\"", "\"\\u0000\"", "[[[[",
        "true",
        "\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\"", "\"flare://\"",
        "\"0001-01-01T00:00:00Z\"",
    ];

    [Test]
    public void Mutated_kits_and_rosters_are_refused_in_one_way()
    {
        using var authority = new TestAuthority();
        var kit = authority.Kit(new(FlareRole.Site, "hospital-1")).Write();
        var roster = authority.Everybody().Write();
        var random = new Random(8);
        var read = 0;
        for (var i = 0; i < Count; i++)
        {
            var isKit = i % 2 == 0;
            var bytes = Mutated(isKit ? kit : roster, random);
            try
            {
                if (isKit) StartupKit.Parse(bytes);
                else Roster.Parse(bytes, authority.Roots);
                read++;
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Identity));
                Assert.That(e.Message, Has.Length.LessThan(2000));
            }
        }
        // Spaces, the letter case of escapes, and the private key may differ; little else.
        Assert.That(read, Is.LessThan(Count / 4));
    }

    // Whatever is still taken says what the kit said, and has its key. Beside the signature stands a certificate of
    // which its key alone is used: the rest of it may differ.
    [TestCase(null, 1, 5), TestCase("ein Satz", 7, 29)]
    public void A_bit_flipped_anywhere_in_a_kit_changes_nothing_of_what_is_believed(
        string? passphrase, int seed, int step)
    {
        using var authority = new TestAuthority();
        var kit = authority.Kit(new(FlareRole.Site, "hospital-1"), passphrase: passphrase);
        var bytes = kit.Write();
        var meaning = Meaning(kit);
        var random = new Random(seed);
        var (taken, tried) = (0, 0);
        for (var at = random.Next(step); at < bytes.Length; at += step, tried++)
        {
            var changed = (byte[])bytes.Clone();
            changed[at] ^= (byte)(1 << random.Next(8));
            try
            {
                var read = StartupKit.Parse(changed);
                Assert.That(Meaning(read), Is.EqualTo(meaning), $"byte {at}");
                using var identity = FlareIdentity.Load(read, passphrase);
                Assert.That(
                    identity.VerifySignature(identity.Certificate, "x", [1], identity.Sign("x", [1])), $"byte {at}");
                taken++;
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Identity), $"byte {at}");
            }
        }
        Assert.That(taken, Is.LessThan(tried / 4)); // spaces, and letters of another case in escapes
    }

    [Test]
    public void A_key_on_a_curve_that_nobody_knows_is_damaged()
    {
        using var authority = new TestAuthority();
        var kit = authority.Kit(new(FlareRole.Site, "hospital-1"));
        var found = PemEncoding.Find(kit.PrivateKey);
        var der = Convert.FromBase64String(kit.PrivateKey![found.Base64Data]);
        byte[] curve = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
        der[der.AsSpan().IndexOf(curve) + 1] ^= 4;
        var odd = kit.WithPrivateKey(PemEncoding.WriteString("PRIVATE KEY", der));
        Assert.That(
            () => FlareIdentity.Load(odd), Throws.TypeOf<FlareException>().With.Message.Contains("key is damaged"));
    }

    private static string[] Meaning(StartupKit kit) =>
    [
        kit.Project, $"{kit.Member}", .. kit.Addresses.Select(a => a.OriginalString), "certificates",
        .. kit.Certificates.Select(c => Convert.ToHexString(c.Span)), "roots",
        .. kit.TrustRoots.Select(c => Convert.ToHexString(c.Span)), "roster", kit.Roster.Fingerprint,
    ];

    // The key is not signed: whoever changes the file could have its reader count for hours.
    [TestCase(10_000_001, "10,000,001 iterations, of at most 10,000,000"), TestCase(int.MaxValue, "2,147,483,647")]
    [TestCase(long.MaxValue, "9,223,372,036,854,775,807")]
    public void A_key_whose_passphrase_would_take_hours_to_try_is_refused(long iterations, string words)
    {
        using var authority = new TestAuthority();
        var kit = authority.Kit(new(FlareRole.Site, "hospital-1"));
        foreach (var isPbes2 in new[] { true, false })
        {
            var slow = kit.WithPrivateKey(Encrypted(iterations, isPbes2));
            Assert.That(() => FlareIdentity.Load(slow, "x"),
                Throws.TypeOf<FlareException>().With.Message.Contains(words).And.Message.Contains("write it anew"));
        }
    }

    private static string Encrypted(long iterations, bool isPbes2)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            {
                writer.WriteObjectIdentifier(isPbes2 ? "1.2.840.113549.1.5.13" : "1.2.840.113549.1.12.1.3");
                using (writer.PushSequence())
                {
                    if (isPbes2) WriteParts(writer, iterations);
                    else WriteCount(writer, iterations);
                }
            }
            writer.WriteOctetString(new byte[160]);
        }
        return PemEncoding.WriteString("ENCRYPTED PRIVATE KEY", writer.Encode());
    }

    private static void WriteParts(AsnWriter writer, long iterations)
    {
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier("1.2.840.113549.1.5.12"); // PBKDF2
            using (writer.PushSequence())
            {
                WriteCount(writer, iterations);
                using (writer.PushSequence())
                {
                    writer.WriteObjectIdentifier("1.2.840.113549.2.9"); // HMAC with SHA-256
                    writer.WriteNull();
                }
            }
        }
        using (writer.PushSequence())
        {
            writer.WriteObjectIdentifier("2.16.840.1.101.3.4.1.42"); // AES-256-CBC
            writer.WriteOctetString(new byte[16]);
        }
    }

    private static void WriteCount(AsnWriter writer, long iterations)
    {
        writer.WriteOctetString(new byte[8]); // the salt
        writer.WriteInteger(iterations);
    }

    [Test]
    public void A_kit_cut_at_any_byte_is_refused()
    {
        using var authority = new TestAuthority();
        var kit = authority.Kit(new(FlareRole.Site, "hospital-1")).Write();
        for (var length = 0; length < kit.Length - 2; length++)
        {
            Assert.That(
                () => StartupKit.Parse(kit.AsSpan(0, length)), Throws.TypeOf<FlareException>(), $"{length} bytes");
        }
    }

    // What a hostile file makes us allocate is a multiple of its size, whatever it is full of.
    [TestCase("{\"members\":[", "null", "]}"), TestCase("{\"members\":[", "{}", "]}")]
    [TestCase("{\"revoked\":[", "{\"serial\":\"\",\"since\":\"2026-05-04T12:00:00Z\"}", "]}")]
    [TestCase("{\"members\":[", "{\"name\":\"\",\"role\":\"\",\"keys\":[]}", "]}"), TestCase("", "[", "")]
    [TestCase("{\"members\":[{\"keys\":[", "\"\"", "]}]}"), TestCase("{", "\"a\":1", "}")]
    [TestCase("{\"signature\":{\"certificates\":[", "\"-----BEGIN X-----\"", "]}}")]
    public void Hostile_files_allocate_a_multiple_of_their_size(string head, string item, string tail)
    {
        using var authority = new TestAuthority();
        var count = (2 << 20) / (item.Length + 1);
        var bytes = Encoding.UTF8.GetBytes(head + string.Join(",", Enumerable.Repeat(item, count)) + tail);
        Assert.That(() => Roster.Parse("{"u8, authority.Roots), Throws.TypeOf<FlareException>());
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => Roster.Parse(bytes, authority.Roots), Throws.TypeOf<FlareException>());
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(30L * bytes.Length));
    }

    private static byte[] Mutated(byte[] file, Random random)
    {
        var bytes = (byte[])file.Clone();
        switch (random.Next(4))
        {
            case 0:
                for (var flips = random.Next(1, 4); flips > 0; flips--)
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1:
                var (from, length) = (random.Next(bytes.Length), random.Next(1, 40));
                return [.. bytes[..from], .. bytes[Math.Min(bytes.Length, from + length)..]];
            case 2:
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                return bytes;
            default:
                // A value is replaced by another piece of JSON.
                var text = Encoding.UTF8.GetString(file);
                var colons = Enumerable.Range(0, text.Length - 2).Where(i => text[i..(i + 2)] == ": ").ToArray();
                var at = colons[random.Next(colons.Length)] + 2;
                var end = text.IndexOfAny([',', '\n', '}'], at);
                return Encoding.UTF8.GetBytes(text[..at] + Pieces[random.Next(Pieces.Length)] + text[end..]);
        }
    }
}
