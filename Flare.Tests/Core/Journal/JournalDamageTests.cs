using System.Buffers;
using System.Buffers.Binary;
using Flare.Runtime;
using Flare.Tests.Federations;

namespace Flare.Tests.Core.Journaling;

/// <summary>Logs that are damaged, torn or cut: found in a time linear in the log, and told as what they are.</summary>
public class JournalDamageTests
{
    private static readonly JournalIdentity Job = new() { JobId = "digits", Seed = 42, LayoutFingerprint = "abc",
        Workflows = "fedavg" };

    /// <summary>Reads a log, with a bound on a hang: looking at every offset's whole claim took minutes.</summary>
    private static async Task<(IReadOnlyList<JournalRecord> Records, long Length)> ReadAsync(
        ReadOnlyMemory<byte> log, string location) => await Task.Run(() =>
        {
            var records = JournalLog.Read(log.Span, location, out var length);
            return (records, (long)length);
        }).WaitAsync(Patience.Long);

    private static ArrayBufferWriter<byte> Begin()
    {
        var log = new ArrayBufferWriter<byte>();
        JournalLog.WriteHeader(log);
        JournalLog.WriteRecord(log, JournalRecordType.JobStarted, Job.ToMap());
        return log;
    }

    [TestCase(1, 0x80), TestCase(2, 0xde), TestCase(200, 0x81)]
    public async Task Four_megabytes_of_junk_that_look_like_records_are_cut_in_linear_time(int type, int first)
    {
        var log = Begin();
        var sound = log.WrittenCount;
        // A head every ten bytes, each with a length that fits and a payload that begins as a map does.
        var junk = new byte[4 << 20];
        for (var at = 0; at + 10 <= junk.Length; at += 10)
        {
            BinaryPrimitives.WriteInt32LittleEndian(junk.AsSpan(at), Math.Max(1, junk.Length - at - 9 - at % 7));
            junk[at + 4] = (byte)type;
            junk[at + 9] = (byte)first;
        }
        log.Write(junk);
        var (records, length) = await ReadAsync(log.WrittenMemory, "junk");
        Assert.That(records, Has.Count.EqualTo(1));
        Assert.That(length, Is.EqualTo(sound));
    }

    [Test]
    public void A_long_log_with_a_flipped_bit_in_its_first_record_is_refused_in_linear_time()
    {
        var log = Begin();
        var report = new FlareMap { ["number"] = 1, ["sites"] = FlareValue.List([.. Enumerable.Range(0, 1000)
            .Select(i => (FlareValue)$"site-{i}: accepted, 12 steps, no error")]) };
        while (log.WrittenCount < 15 << 20) JournalLog.WriteRecord(log, JournalRecordType.RoundCommitted, report);
        var bytes = log.WrittenSpan.ToArray();
        bytes[JournalLog.HeaderLength + 20] ^= 1;
        Assert.That(() => ReadAsync(bytes, "flipped"), Throws.TypeOf<FlareException>()
            .With.Message.Contains("a sound one follows"));
    }

    [Test]
    public void A_sound_record_is_found_wherever_it_lies_behind_junk()
    {
        var random = new Random(7);
        for (var length = 1; length < 1200; length += 1 + length / 9)
        {
            var log = Begin();
            var junk = new byte[length];
            random.NextBytes(junk);
            log.Write(junk);
            JournalLog.WriteRecord(log, JournalRecordType.ServerStarted, new() { ["epoch"] = 1, ["after"] = 0 });
            var tail = new byte[random.Next(0, 400)];
            random.NextBytes(tail);
            log.Write(tail);
            Assert.That(() => JournalLog.Read(log.WrittenSpan, "junk", out _), Throws.TypeOf<FlareException>(),
                $"{length} bytes");
        }
    }

    [Test]
    public void The_checksum_of_a_part_follows_from_the_remainders_at_its_ends()
    {
        var bytes = new byte[70_000];
        new Random(3).NextBytes(bytes);
        foreach (var (begin, end) in new[] { (0, 0), (0, 1), (5, 260), (1, 257), (300, 66_000), (0, 70_000) })
        {
            var shifted = Crc32CShift.Shift(~0u ^ Crc32C.Raw(0, bytes.AsSpan(0, begin)), end - begin) ^ Crc32C.Raw(0,
                bytes.AsSpan(0, end));
            Assert.That(~shifted, Is.EqualTo(Crc32C.Compute(bytes.AsSpan(begin, end - begin))), $"{begin} to {end}");
        }
    }

    private static async Task<MemoryStorage> RoundsAsync(int rounds)
    {
        var disk = new MemoryStorage();
        await using var journal = await Journal.OpenAsync(disk, Job);
        for (var round = 1; round <= rounds; round++)
            await journal.CommitRoundAsync(new()
            {
                Workflow = 0, Round = round,
                Snapshots = new Dictionary<string, StateDict> { ["model"] = StateDict.Create(("w", [round])) },
            });
        return disk;
    }

    private static async Task<(int? Round, IReadOnlyList<string> Warnings)> OpenAsync(MemoryStorage disk)
    {
        await using var journal = await Journal.OpenAsync(disk.Restarted(), Job);
        return (journal.Recovered?.LastRound, journal.Warnings);
    }

    [Test]
    public async Task A_flipped_bit_in_the_last_record_is_never_said_to_be_something_that_nobody_was_told()
    {
        var disk = await RoundsAsync(3);
        var log = disk.Files[Journal.LogName];
        var last = (int)JournalLog.Read(log, "sound", out _)[^1].Offset;
        for (var at = last; at < log.Length; at += 3)
        {
            disk.Files[Journal.LogName] = [.. log];
            disk.Files[Journal.LogName][at] ^= 4;
            var (round, warnings) = await OpenAsync(disk);
            Assert.That(round, Is.EqualTo(2));
            Assert.That(string.Join("\n", warnings), Does.Contain("was announced").And.Contain("lost")
                .And.Not.Contain("Nobody was told"), $"byte {at}");
        }
    }

    [Test]
    public async Task A_log_cut_between_two_records_is_found_out_by_the_snapshots_that_it_no_longer_names()
    {
        var disk = await RoundsAsync(5);
        var log = disk.Files[Journal.LogName];
        var records = JournalLog.Read(log, "sound", out _);
        disk.Files[Journal.LogName] = log[..(int)records[^1].Offset];
        var (round, warnings) = await OpenAsync(disk);
        Assert.That(round, Is.EqualTo(4));
        Assert.That(warnings, Has.One.Contains("'model-000005.safetensors'"));
        Assert.That(
            warnings, Has.One.Contains("rounds that were announced"), "a file is gone that only round 5 deletes");

        // Of two lost rounds no model is left to go on with: refused, and the message says what the log lacks.
        disk.Files[Journal.LogName] = log[..(int)records[^2].Offset];
        Assert.That(() => Journal.OpenAsync(disk.Restarted(), Job), Throws.TypeOf<FlareException>()
            .With.Message.Contains("'model-000004.safetensors' and 1 more").And.Message.Contains("lost its end"));
    }

    [Test]
    public async Task A_snapshot_whose_record_a_crash_kept_from_the_log_is_told_as_either()
    {
        var disk = await RoundsAsync(1);
        disk.Files["model-000002.safetensors"] = disk.Files["model-000001.safetensors"];
        var (round, warnings) = await OpenAsync(disk);
        Assert.That(round, Is.EqualTo(1));
        Assert.That(warnings, Has.One.Contains("'model-000002.safetensors'").And.One.Contains("died between the two"));
    }

    [TestCase((int)JournalRecordType.ServerStarted), TestCase((int)JournalRecordType.RoundCommitted)]
    public void A_log_whose_first_record_names_no_job_is_refused(int type)
    {
        var log = new ArrayBufferWriter<byte>();
        JournalLog.WriteHeader(log);
        // It says all that the first record says, and is of another type.
        JournalLog.WriteRecord(
            log, (JournalRecordType)type, new FlareMap(Job.ToMap()) { ["epoch"] = 1, ["after"] = 0 });
        var disk = new MemoryStorage { Files = { [Journal.LogName] = log.WrittenSpan.ToArray() } };
        Assert.That(() => Journal.OpenAsync(disk, Job), Throws.TypeOf<FlareException>()
            .With.Message.Contains("offset 16"));
    }

    [Test]
    public void A_payload_that_cannot_be_read_is_refused_with_its_offset_though_its_checksum_is_right()
    {
        var log = Begin();
        var offset = log.WrittenCount;
        byte[] payload = [0x81, 0xa1, (byte)'x', 0xc1]; // a map of one name, and a byte that MessagePack never uses
        var head = new byte[JournalLog.RecordHeadLength];
        BinaryPrimitives.WriteInt32LittleEndian(head, payload.Length);
        head[4] = (byte)JournalRecordType.ServerStarted;
        BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(5), Crc32C.Compute(head.AsSpan(0, 5), payload));
        log.Write([.. head, .. payload]);
        Assert.That(() => JournalLog.Read(log.WrittenSpan, "odd", out _),
            Throws.TypeOf<FlareException>().With.Message.Contains($"offset {offset}")
                .And.Message.Contains("cannot be read"));
    }

    [Test]
    public async Task A_server_that_went_on_from_nothing_voids_all_that_was_before()
    {
        var disk = await RoundsAsync(2);
        var log = new ArrayBufferWriter<byte>();
        log.Write(disk.Files[Journal.LogName]);
        JournalLog.WriteRecord(log, JournalRecordType.ServerStarted, new() { ["epoch"] = 2, ["after"] = 0 });
        disk.Files[Journal.LogName] = log.WrittenSpan.ToArray();
        var (round, warnings) = await OpenAsync(disk);
        Assert.That(round, Is.Null);
        Assert.That(warnings, Is.Empty);
    }
}
