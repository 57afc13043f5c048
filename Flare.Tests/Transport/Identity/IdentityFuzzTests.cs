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
