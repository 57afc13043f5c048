using System.Buffers;
using Flare.Runtime;

namespace Flare.Tests.Core.Journaling;

/// <summary>
/// A journal as Flare wrote it when it encoded MessagePack by itself: three sites, one of them failing, three rounds,
/// and a state of every kind of value. It opens, and written anew it has the same bytes.
/// </summary>
public class JournalOfOldTests
{
    [Test]
    public async Task It_opens_with_all_that_it_held()
    {
        var storage = new MemoryStorage { Files = { [Journal.LogName] = Log } };
        foreach (var (name, bytes) in Snapshots) storage.Files[name] = bytes;
        var job = JournalIdentity.FromMap(JournalLog.Read(Log, "old", out _)[0].Payload);
        await using var journal = await Journal.OpenAsync(storage, job);

        Assert.That(journal.Warnings, Is.Empty);
        var recovered = journal.Recovered!;
        Assert.That((job.JobId, job.Seed, recovered.LastRound), Is.EqualTo(("golden", 42L, (int?)3)));
        Assert.That(
            recovered.Values["list"] == FlareValue.List(
                1, -200, 70000, 1L << 40, 0.25, "é→𝄞", true, default, new byte[] { 1, 2, 3 }));
        Assert.That(recovered.Values["nested"].AsMap()["a"].AsMap()["long"].AsText(), Is.EqualTo(new string('x', 300)));
        Assert.That(recovered.Snapshots["state/momentum"]["w"].ToArray<float>(), Is.EqualTo(new[] { 3f, 2f }));
        var reports = recovered.Reports.Select(r => RoundReport.FromMap(r.Report)).ToArray();
        Assert.That(
            reports.Select(r => (r.Number, r.Targets, r.Accepted)),
            Is.EqualTo(new[] { (1, 3, 2), (2, 3, 2), (3, 3, 2) }));
        Assert.That(reports[1].Metrics["accuracy"], Is.EqualTo(0.7));
        Assert.That(reports[1].Sites.Single(s => s.Site == "site-3").Error!.Message, Is.EqualTo("no data today"));
    }

    [Test]
    public void Written_anew_it_has_the_same_bytes()
    {
        var output = new ArrayBufferWriter<byte>();
        JournalLog.WriteHeader(output);
        foreach (var record in JournalLog.Read(Log, "old", out _))
            JournalLog.WriteRecord(output, record.Type, record.Payload);
        Assert.That(output.WrittenSpan.SequenceEqual(Log));
    }

    private static readonly byte[] Log = Convert.FromBase64String("""
        RkxBUkVKTkwBAAAAfHGdgGsAAAABum51XoSjam9ipmdvbGRlbqRzZWVkKqZsYXlvdXTZQDk1YTIwZDIyYzY5OGQ3OThlMmNlNDAzNmRiN2VlOTBk
        ZDYyNWYyNzMxYzQ0ZDAwNWNjOThjN2Q1ZTkzN2UzZWWtY29uZmlndXJhdGlvbqFXDwAAAAJwASGDgqVlcG9jaAGlYWZ0ZXIAkQUAAANy2TithqZu
        dW1iZXIBqHdvcmtmbG93AKVyb3VuZAGpc25hcHNob3RzkoSkbmFtZaVtb2RlbKRmaWxluG1vZGVsLTAwMDAwMS5zYWZldGVuc29yc6ZsZW5ndGjM
        pKZjcmMzMmPOKU9OgYSkbmFtZa5zdGF0ZS9tb21lbnR1baRmaWxl2SNzdGF0ZSUyRm1vbWVudHVtLTAwMDAwMS5zYWZldGVuc29yc6ZsZW5ndGjM
        pKZjcmMzMmPOJ8FqbqZyZXBvcnSLpm51bWJlcgGod29ya2Zsb3ehV6d0YXJnZXRzA6hhY2NlcHRlZAKnbWV0cmljc4GoYWNjdXJhY3nLP+MzMzMz
        MzOlc2l0ZXOTh6RzaXRlpnNpdGUtMaR0YXNrpXRyYWlupnN0YXR1cwGtZWxhcHNlZF90aWNrc84AD0yMpWJ5dGVzzICkY29kZQCpbnVtX3N0ZXBz
        Coekc2l0ZaZzaXRlLTKkdGFza6V0cmFpbqZzdGF0dXMBrWVsYXBzZWRfdGlja3POAB7TU6VieXRlc8yApGNvZGUAqW51bV9zdGVwcwuIpHNpdGWm
        c2l0ZS0zpHRhc2uldHJhaW6mc3RhdHVzA61lbGFwc2VkX3RpY2tzzgBQZiWlYnl0ZXMApGNvZGUGpnJlYXNvbtlTdGhlIHNpdGUgYW5zd2VyZWQg
        RXhlY3V0aW9uRXhjZXB0aW9uOiBTeXN0ZW0uSU8uSW52YWxpZERhdGFFeGNlcHRpb246IG5vIGRhdGEgdG9kYXmlZXJyb3KGpHNpdGWmc2l0ZS0z
        pHRhc2uldHJhaW6lcm91bmQBpHR5cGW+U3lzdGVtLklPLkludmFsaWREYXRhRXhjZXB0aW9up21lc3NhZ2Wtbm8gZGF0YSB0b2RheaVzdGFja9nx
        U3lzdGVtLklPLkludmFsaWREYXRhRXhjZXB0aW9uOiBubyBkYXRhIHRvZGF5CiAgIGF0IFMuRXhlY3V0ZUFzeW5jKFN0cmluZyB0YXNrTmFtZSwg
        U2hhcmVhYmxlIGlucHV0LCBGTENvbnRleHQgY29udGV4dCwgQ2FuY2VsbGF0aW9uVG9rZW4gYWJvcnQpIGluIC90bXAvb2xkam91cm5hbC9Qcm9n
        cmFtLmNzOmxpbmUgMjAKICAgYXQgRmxhcmUuUnVudGltZS5TaXRlV29ya2VyLlByb2Nlc3NBc3luYyhTaXRlVGFzayB0YXNrKa1lbGFwc2VkX3Rp
        Y2tzzgBhMsWkbGF0ZQCqZHVwbGljYXRlcwCnaXNfYmVzdMOsbW9kZWxfc2hhMjU22UAxMzEyNjgyM2U2MGI5MGNhYzEzMGUzZTUxMGU5NDJiOGY4
        ZjQ3OTk0YTcwNjE3NTNiYWE0YTA1ZDBhZmEwNWYxpnZhbHVlc4Olcm91bmQBpGxpc3SZAdH/OM4AARFwzwAAAQAAAAAAyz/QAAAAAAAAqcOp4oaS
        8J2EnsPAxAMBAgOmbmVzdGVkgaFhgaRsb25n2gEseHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4iwUAAAP8
        YJgDhqZudW1iZXICqHdvcmtmbG93AKVyb3VuZAKpc25hcHNob3RzkoSkbmFtZaVtb2RlbKRmaWxluG1vZGVsLTAwMDAwMi5zYWZldGVuc29yc6Zs
        ZW5ndGjMpKZjcmMzMmPOEKcHV4SkbmFtZa5zdGF0ZS9tb21lbnR1baRmaWxl2SNzdGF0ZSUyRm1vbWVudHVtLTAwMDAwMi5zYWZldGVuc29yc6Zs
        ZW5ndGjMpKZjcmMzMmPObBOwK6ZyZXBvcnSLpm51bWJlcgKod29ya2Zsb3ehV6d0YXJnZXRzA6hhY2NlcHRlZAKnbWV0cmljc4GoYWNjdXJhY3nL
        P+ZmZmZmZmalc2l0ZXOTh6RzaXRlpnNpdGUtMaR0YXNrpXRyYWlupnN0YXR1cwGtZWxhcHNlZF90aWNrc80aO6VieXRlc8yApGNvZGUAqW51bV9z
        dGVwcwqHpHNpdGWmc2l0ZS0ypHRhc2uldHJhaW6mc3RhdHVzAa1lbGFwc2VkX3RpY2tzzRZJpWJ5dGVzzICkY29kZQCpbnVtX3N0ZXBzC4ikc2l0
        ZaZzaXRlLTOkdGFza6V0cmFpbqZzdGF0dXMDrWVsYXBzZWRfdGlja3PNNPelYnl0ZXMApGNvZGUGpnJlYXNvbtlTdGhlIHNpdGUgYW5zd2VyZWQg
        RXhlY3V0aW9uRXhjZXB0aW9uOiBTeXN0ZW0uSU8uSW52YWxpZERhdGFFeGNlcHRpb246IG5vIGRhdGEgdG9kYXmlZXJyb3KGpHNpdGWmc2l0ZS0z
        pHRhc2uldHJhaW6lcm91bmQCpHR5cGW+U3lzdGVtLklPLkludmFsaWREYXRhRXhjZXB0aW9up21lc3NhZ2Wtbm8gZGF0YSB0b2RheaVzdGFja9nx
        U3lzdGVtLklPLkludmFsaWREYXRhRXhjZXB0aW9uOiBubyBkYXRhIHRvZGF5CiAgIGF0IFMuRXhlY3V0ZUFzeW5jKFN0cmluZyB0YXNrTmFtZSwg
        U2hhcmVhYmxlIGlucHV0LCBGTENvbnRleHQgY29udGV4dCwgQ2FuY2VsbGF0aW9uVG9rZW4gYWJvcnQpIGluIC90bXAvb2xkam91cm5hbC9Qcm9n
        cmFtLmNzOmxpbmUgMjAKICAgYXQgRmxhcmUuUnVudGltZS5TaXRlV29ya2VyLlByb2Nlc3NBc3luYyhTaXRlVGFzayB0YXNrKa1lbGFwc2VkX3Rp
        Y2tzzgAB1BekbGF0ZQCqZHVwbGljYXRlcwCnaXNfYmVzdMOsbW9kZWxfc2hhMjU22UBiOWFlZmE5Njg1Y2U1NWIxNDdjOWY4Nzg2MDJmMDRmMWE2
        ZDczMDQyNGRhMDZkMzczNWY5NGFlZDkzMjJlNTI1pnZhbHVlc4Olcm91bmQCpGxpc3SZAdH/OM4AARFwzwAAAQAAAAAAyz/QAAAAAAAAqcOp4oaS
        8J2EnsPAxAMBAgOmbmVzdGVkgaFhgaRsb25n2gEseHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4jQUAAANp
        /+44hqZudW1iZXIDqHdvcmtmbG93AKVyb3VuZAOpc25hcHNob3RzkoSkbmFtZaVtb2RlbKRmaWxluG1vZGVsLTAwMDAwMy5zYWZldGVuc29yc6Zs
        ZW5ndGjMpKZjcmMzMmPOjdpVXISkbmFtZa5zdGF0ZS9tb21lbnR1baRmaWxl2SNzdGF0ZSUyRm1vbWVudHVtLTAwMDAwMy5zYWZldGVuc29yc6Zs
        ZW5ndGjMpKZjcmMzMmPOURwFuaZyZXBvcnSLpm51bWJlcgOod29ya2Zsb3ehV6d0YXJnZXRzA6hhY2NlcHRlZAKnbWV0cmljc4GoYWNjdXJhY3nL
        P+mZmZmZmZqlc2l0ZXOTh6RzaXRlpnNpdGUtMaR0YXNrpXRyYWlupnN0YXR1cwGtZWxhcHNlZF90aWNrc80XDqVieXRlc8yApGNvZGUAqW51bV9z
        dGVwcwqHpHNpdGWmc2l0ZS0ypHRhc2uldHJhaW6mc3RhdHVzAa1lbGFwc2VkX3RpY2tzzRTDpWJ5dGVzzICkY29kZQCpbnVtX3N0ZXBzC4ikc2l0
        ZaZzaXRlLTOkdGFza6V0cmFpbqZzdGF0dXMDrWVsYXBzZWRfdGlja3POAAGI5qVieXRlcwCkY29kZQamcmVhc29u2VN0aGUgc2l0ZSBhbnN3ZXJl
        ZCBFeGVjdXRpb25FeGNlcHRpb246IFN5c3RlbS5JTy5JbnZhbGlkRGF0YUV4Y2VwdGlvbjogbm8gZGF0YSB0b2RheaVlcnJvcoakc2l0ZaZzaXRl
        LTOkdGFza6V0cmFpbqVyb3VuZAOkdHlwZb5TeXN0ZW0uSU8uSW52YWxpZERhdGFFeGNlcHRpb26nbWVzc2FnZa1ubyBkYXRhIHRvZGF5pXN0YWNr
        2fFTeXN0ZW0uSU8uSW52YWxpZERhdGFFeGNlcHRpb246IG5vIGRhdGEgdG9kYXkKICAgYXQgUy5FeGVjdXRlQXN5bmMoU3RyaW5nIHRhc2tOYW1l
        LCBTaGFyZWFibGUgaW5wdXQsIEZMQ29udGV4dCBjb250ZXh0LCBDYW5jZWxsYXRpb25Ub2tlbiBhYm9ydCkgaW4gL3RtcC9vbGRqb3VybmFsL1By
        b2dyYW0uY3M6bGluZSAyMAogICBhdCBGbGFyZS5SdW50aW1lLlNpdGVXb3JrZXIuUHJvY2Vzc0FzeW5jKFNpdGVUYXNrIHRhc2sprWVsYXBzZWRf
        dGlja3POAAGt9KRsYXRlAKpkdXBsaWNhdGVzAKdpc19iZXN0w6xtb2RlbF9zaGEyNTbZQDVjZTUzYTZhMjYxYWEwODU2YTVlZjlkMjA4ZTlmN2I4
        NDU5MTVlOThhNGUyNzU3MzYwYTQ5YjgyNDNjZjEyYTKmdmFsdWVzg6Vyb3VuZAOkbGlzdJkB0f84zgABEXDPAAABAAAAAADLP9AAAAAAAACpw6ni
        hpLwnYSew8DEAwECA6ZuZXN0ZWSBoWGBpGxvbmfaASx4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4
        eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=
        """);

    private static readonly Dictionary<string, byte[]> Snapshots = new()
    {
        ["model-000002.safetensors"] = Convert.FromBase64String("""
            kAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJ3Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRz
            IjpbMCw4XX0sImIiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOls4LDEyXX19ICAgICAAAOBAAAAAQQAA0EA=
            """),
        ["model-000003.safetensors"] = Convert.FromBase64String("""
            kAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJ3Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRz
            IjpbMCw4XX0sImIiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOls4LDEyXX19ICAgICAAACBBAAAwQQAAGEE=
            """),
        ["state%2Fmomentum-000002.safetensors"] = Convert.FromBase64String("""
            kAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJ3Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRz
            IjpbMCw4XX0sImIiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOls4LDEyXX19ICAgICAAAABAAAAAQAAAgD4=
            """),
        ["state%2Fmomentum-000003.safetensors"] = Convert.FromBase64String("""
            kAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJ3Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRz
            IjpbMCw4XX0sImIiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOls4LDEyXX19ICAgICAAAEBAAAAAQAAAgD4=
            """),
    };
}
