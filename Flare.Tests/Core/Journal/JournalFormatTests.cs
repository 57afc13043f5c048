using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Flare.Runtime;

namespace Flare.Tests.Core.Journaling;

/// <summary>The log's bytes, as docs/journal.md freezes them.</summary>
public class JournalFormatTests
{
    private static readonly JournalIdentity Job = new() { JobId = "digits", Seed = -42, LayoutFingerprint = "abc",
        Workflows = "fedavg" };

    // Written by format version 1. Files like these lie on people's disks: they must open for ever.
    private const string FrozenLog =
        "464c4152454a4e4c010000007c719d80330000000136e5b4f584a36a6f62a6646967697473a473656564d0d6a66c61796f7574a3616263ad636f6e66"
        + "696775726174696f6ea66665646176670f000000027001218382a565706f636801a5616674657200c8000000031ce8802c86a66e756d62657201a877"
        + "6f726b666c6f7700a5726f756e6401a9736e617073686f74739284a46e616d65a56d6f64656ca466696c65b86d6f64656c2d3030303030312e736166"
        + "6574656e736f7273a66c656e67746868a6637263333263cee30563b984a46e616d65a462657374a466696c65b86d6f64656c2d3030303030312e7361"
        + "666574656e736f7273a66c656e67746868a6637263333263cee30563b9a67265706f727481a8616363657074656406a676616c75657381a472617465"
        + "cb3fe00000000000000f000000021a050eaa82a565706f636802a56166746572010b000000046ce02c5f81a8776f726b666c6f7700010000000540d5"
        + "c46780";
    private const string FrozenModel =
        "58000000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c2277223a7b226474797065223a22463332222c22"
        + "7368617065223a5b325d2c22646174615f6f666673657473223a5b302c385d7d7d2020200000c03f000000c0";

    private static byte[] Frozen => Convert.FromHexString(FrozenLog);

    [Test]
    public async Task A_journal_of_version_1_opens()
    {
        var disk = new MemoryStorage {
            Files = { [Journal.LogName] = Frozen, ["model-000001.safetensors"] = Convert.FromHexString(FrozenModel) } };
        await using var journal = await Journal.OpenAsync(disk, Job);
        Assert.That(journal.Epoch, Is.EqualTo(3));
        Assert.That(journal.Warnings, Is.Empty);
        var recovered = journal.Recovered!;
        Assert.That(
            (recovered.Workflow, recovered.LastRound, recovered.IsCompleted), Is.EqualTo((1, (int?)null, true)));
        Assert.That(recovered.Model!.ContentEquals(StateDict.Create(("w", [1.5f, -2f]))));
        Assert.That(recovered.Snapshots["best"], Is.SameAs(recovered.Model));
        Assert.That(recovered.Values.ContentEquals(new() { ["rate"] = 0.5 }));
        Assert.That(recovered.Reports.Single().Report["accepted"].AsInteger(), Is.EqualTo(6));
    }

    [Test]
    public void What_is_written_today_is_version_1_to_the_byte()
    {
        var output = new ArrayBufferWriter<byte>();
        JournalLog.WriteHeader(output);
        foreach (var record in JournalLog.Read(Frozen, "frozen", out _))
        {
            var payload = record.Type switch
            {
                JournalRecordType.JobStarted => JournalIdentity.FromMap(record.Payload).ToMap(),
                JournalRecordType.RoundCommitted => CommittedRound.FromMap(record.Payload).ToMap(),
                _ => record.Payload,
            };
            JournalLog.WriteRecord(output, record.Type, payload);
        }
        Assert.That(Convert.ToHexStringLower(output.WrittenSpan), Is.EqualTo(FrozenLog));
    }

    [Test]
    public void The_numbers_of_record_types_are_frozen() =>
        Assert.That(
            Enum.GetValues<JournalRecordType>()
            .Select(t => $"{(byte)t} {t}"),
            Is.EqualTo(
                new[] { "1 JobStarted", "2 ServerStarted", "3 RoundCommitted", "4 WorkflowCompleted",
                    "5 JobCompleted" }));

    [TestCase("", 0x00000000u), TestCase("123456789", 0xe3069283u),
        TestCase("The quick brown fox jumps over the lazy dog", 0x22620404u)]
    public void The_checksum_is_CRC_32C(string text, uint expected)
    {
        var bytes = Encoding.ASCII.GetBytes(text);
        for (var split = 0; split <= bytes.Length; split++)
            Assert.That(Crc32C.Compute(bytes.AsSpan(0, split), bytes.AsSpan(split)), Is.EqualTo(expected));
    }

    [Test]
    public void A_log_cut_anywhere_keeps_the_records_before_the_cut()
    {
        var whole = JournalLog.Read(Frozen, "frozen", out _);
        for (var length = JournalLog.HeaderLength; length <= Frozen.Length; length++)
        {
            var records = JournalLog.Read(Frozen.AsSpan(0, length), "cut", out var sound);
            Assert.That(records.Select(r => r.Offset), Is.EqualTo(whole.Select(r => r.Offset).Take(records.Count)));
            Assert.That(sound, Is.LessThanOrEqualTo(length));
            Assert.That(
                whole.Count(r => r.Offset < length) - records.Count, Is.LessThanOrEqualTo(1),
                "only the record that was cut is missing");
        }
    }

    [Test]
    public async Task A_torn_tail_is_cut_off_with_a_warning()
    {
        var disk = new MemoryStorage {
            Files = { [Journal.LogName] = [.. Frozen, 1, 2, 3],
                ["model-000001.safetensors"] = Convert.FromHexString(FrozenModel) } };
        await using (var journal = await Journal.OpenAsync(disk, Job))
            Assert.That(journal.Warnings, Has.One.Contains("3 bytes"));
        await using var reopened = await Journal.OpenAsync(disk, Job);
        Assert.That(reopened.Warnings, Is.Empty);
    }

    [Test]
    public void A_flipped_bit_before_the_last_record_is_refused_with_its_offset_and_in_the_last_is_cut()
    {
        var last = JournalLog.Read(Frozen, "frozen", out _)[^1];
        for (var at = 0; at < Frozen.Length; at++)
        {
            var log = Frozen;
            log[at] ^= (byte)(1 << at % 8);
            if (at >= last.Offset)
            {
                Assert.That(JournalLog.Read(log, "flipped", out var sound), Has.Count.EqualTo(5), $"byte {at}");
                Assert.That(sound, Is.EqualTo(last.Offset), $"byte {at}");
                continue;
            }
            var error = Assert.Throws<FlareException>(() => JournalLog.Read(log, "flipped", out _), $"byte {at}")!;
            Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Journal));
            Assert.That(error.Message, Does.Contain("damaged at offset"));
        }
    }

    [TestCase(0), TestCase(5), TestCase(15)]
    public void A_file_shorter_than_a_header_is_no_journal(int length) =>
        Assert.That(
            () => JournalLog.Read(Frozen.AsSpan(0, length), "short", out _),
            Throws.TypeOf<FlareException>().With.Message.Contains("offset 0"));

    [Test]
    public void A_log_that_names_no_job_is_refused()
    {
        var disk = new MemoryStorage { Files = { [Journal.LogName] = Frozen[..JournalLog.HeaderLength] } };
        Assert.That(
            () => Journal.OpenAsync(disk, Job),
            Throws.TypeOf<FlareException>().With.Message.Contains("no job is named"));
    }

    [Test]
    public void A_newer_version_is_refused_as_such()
    {
        var log = Frozen;
        BinaryPrimitives.WriteUInt32LittleEndian(log.AsSpan(8), 2);
        BinaryPrimitives.WriteUInt32LittleEndian(log.AsSpan(12), Crc32C.Compute(log.AsSpan(0, 12)));
        Assert.That(
            () => JournalLog.Read(log, "newer", out _),
            Throws.TypeOf<FlareException>().With.Message.Contains("format version 2").And.Message.Contains(
                "newer one"));
    }

    [Test]
    public void A_record_of_a_newer_version_is_refused_as_such()
    {
        var output = new ArrayBufferWriter<byte>();
        output.Write(Frozen);
        JournalLog.WriteRecord(output, (JournalRecordType)6, []);
        Assert.That(
            () => JournalLog.Read(output.WrittenSpan, "newer", out _),
            Throws.TypeOf<FlareException>().With.Message.Contains("type 6"));
    }

    private static IEnumerable<TestCaseData> Contradictions()
    {
        FlareMap round = new() { ["number"] = 2, ["workflow"] = 0, ["round"] = 9, ["snapshots"] = FlareValue.List(),
            ["report"] = new FlareMap(), ["values"] = new FlareMap() };
        yield return new((int)JournalRecordType.JobStarted, Job.ToMap()) { TestName = "A second job" };
        yield return new(
            (int)JournalRecordType.ServerStarted,
            new FlareMap { ["epoch"] = 5, ["after"] = 0 }) { TestName = "An epoch left out" };
        yield return new(
            (int)JournalRecordType.ServerStarted, new FlareMap { ["epoch"] = 3 }) { TestName = "A value left out" };
        yield return new(
            (int)JournalRecordType.ServerStarted,
            new FlareMap { ["epoch"] = "3", ["after"] = 0 }) { TestName = "A value of another kind" };
        yield return new((int)JournalRecordType.RoundCommitted, round) { TestName = "A round after the job's end" };
        yield return new(
            (int)JournalRecordType.RoundCommitted,
            new FlareMap(round) { ["number"] = 1 }) { TestName = "A number twice" };
        yield return new(
            (int)JournalRecordType.RoundCommitted,
            new FlareMap(round) { ["round"] = 1L << 40 }) { TestName = "A round beyond all rounds" };
        yield return new(
            (int)JournalRecordType.WorkflowCompleted,
            new FlareMap { ["workflow"] = 0 }) { TestName = "A workflow completed twice" };
        yield return new((int)JournalRecordType.JobCompleted, new FlareMap()) { TestName = "A job completed twice" };
    }

    [TestCaseSource(nameof(Contradictions))]
    public void Sound_records_that_contradict_those_before_are_refused_with_their_offset(int type, FlareMap payload)
    {
        var output = new ArrayBufferWriter<byte>();
        output.Write(Frozen);
        JournalLog.WriteRecord(output, (JournalRecordType)type, payload);
        var disk = new MemoryStorage { Files = { [Journal.LogName] = output.WrittenSpan.ToArray() } };
        Assert.That(
            () => Journal.OpenAsync(disk, Job),
            Throws.TypeOf<FlareException>().With.Message.Contains($"offset {Frozen.Length}"));
    }

    [Test]
    public async Task Mutated_logs_open_or_fail_with_the_one_exception()
    {
        var random = new Random(5);
        var records = JournalLog.Read(Frozen, "frozen", out _);
        var model = Convert.FromHexString(FrozenModel);
        var (opened, refused) = (0, 0);
        for (var i = 0; i < 3_000; i++)
        {
            var log = Frozen;
            for (var m = random.Next(1, 4); m > 0; m--) log[random.Next(log.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0) log = log[..random.Next(log.Length)];
            // Half of the logs carry right checksums over wrong payloads: what a faulty writer would leave.
            if (random.Next(2) == 0) MendChecksums(log, records);
            try
            {
                await (await Journal.OpenAsync(
                    new MemoryStorage { Files = { [Journal.LogName] = log, ["model-000001.safetensors"] = model } },
                    Job)).DisposeAsync();
                opened++;
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Journal));
                refused++;
            }
        }
        Assert.That(opened, Is.GreaterThan(100));
        Assert.That(refused, Is.GreaterThan(1_000));
    }

    private static void MendChecksums(byte[] log, List<JournalRecord> records)
    {
        for (var i = 0; i < records.Count; i++)
        {
            var begin = (int)records[i].Offset;
            var end = i + 1 < records.Count ? (int)records[i + 1].Offset : Frozen.Length;
            if (end > log.Length) return;
            Frozen.AsSpan(begin, 4).CopyTo(log.AsSpan(begin));
            var crc = Crc32C.Compute(
                log.AsSpan(begin, 5),
                log.AsSpan(begin + JournalLog.RecordHeadLength, end - begin - JournalLog.RecordHeadLength));
            BinaryPrimitives.WriteUInt32LittleEndian(log.AsSpan(begin + 5), crc);
        }
    }
}
