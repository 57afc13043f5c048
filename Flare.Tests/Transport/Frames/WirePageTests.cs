using System.Buffers.Binary;
using System.Globalization;
using System.Text.RegularExpressions;
using Flare.Tests.Solution;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>docs/wire.md is the contract: other languages are written from it.</summary>
public partial class WirePageTests
{
    [Test]
    public void The_page_has_the_types_of_the_code_and_no_others()
    {
        var page = File.ReadAllText(Path.Combine(PackageTableTests.Root, "docs/wire.md"));
        var stated = TypeRow().Matches(page)
            .ToDictionary(m => m.Groups[2].Value, m => int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture));
        Assert.That(stated, Is.EquivalentTo(Enum.GetValues<FrameType>().ToDictionary(t => t.ToString(), t => (int)t)));
    }

    [Test]
    public void A_head_and_a_hello_are_written_as_the_page_says()
    {
        var head = new byte[WireHead.Size];
        new WireHead(FrameType.Data, 0x030201, 0x0A0B0C0D).Write(head);
        Assert.That(head, Is.EqualTo(new byte[] { 1, 2, 3, 4, 0x0D, 0x0C, 0x0B, 0x0A }));
        Assert.That(WireHead.Read(head), Is.EqualTo(new WireHead(FrameType.Data, 0x030201, 0x0A0B0C0D)));
        var options = new FrameOptions
        {
            MaxMessageBytes = 65536, MaxStreamHeadBytes = 65536, MaxStreams = 16, StreamWindow = 1 << 20,
            IdleTimeout = TimeSpan.FromSeconds(30),
        };
        var hello = new byte[Hello.Size];
        Hello.Of(options).Write(hello);
        Assert.That(hello, Is.EqualTo(RawFrames.Hello()[8..]));
    }

    [Test]
    public void A_hello_may_state_what_the_page_says()
    {
        var page = File.ReadAllText(Path.Combine(PackageTableTests.Root, "docs/wire.md"));
        var stated = HelloRow().Matches(page).ToDictionary(
            m => int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture),
            m => (long.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture),
                long.Parse(m.Groups[3].Value, CultureInfo.InvariantCulture)));
        Assert.That(stated.Keys.Order(), Is.EqualTo(new[] { 12, 16, 20, 24, 28 }));
        foreach (var (at, (least, most)) in stated)
        {
            Assert.That(TakesAt(at, least) && TakesAt(at, most), $"byte {at}");
            Assert.That(TakesAt(at, least - 1) || TakesAt(at, most + 1), Is.False, $"byte {at}");
        }
    }

    private static bool TakesAt(int at, long value)
    {
        var hello = RawFrames.Hello()[8..];
        BinaryPrimitives.WriteUInt32LittleEndian(hello.AsSpan(at), (uint)value);
        try
        {
            Hello.Read(hello);
            return true;
        }
        catch (FrameException)
        {
            return false;
        }
    }

    [Test]
    public void A_length_never_spills_into_the_type([Values(-1, 1 << 24, int.MaxValue)] int length) =>
        Assert.Throws<InvalidOperationException>(
            () => new WireHead(FrameType.Message, length, 1).Write(new byte[WireHead.Size]));

    [GeneratedRegex(@"^\| (\d+) to \d+ \|[^|]*\| (\d+) \| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex HelloRow();

    [GeneratedRegex(@"^\| (\d+) \| ([A-Z][a-z]+) \|", RegexOptions.Multiline)]
    private static partial Regex TypeRow();
}
