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

    [GeneratedRegex(@"^\| (\d+) \| ([A-Z][a-z]+) \|", RegexOptions.Multiline)]
    private static partial Regex TypeRow();
}
