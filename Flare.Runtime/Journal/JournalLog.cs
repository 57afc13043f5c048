using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Runtime;

/// <summary>A record as it lies in the log.</summary>
/// <param name="Offset">Where it begins.</param>
/// <param name="Type">What it says.</param>
/// <param name="Payload">The particulars.</param>
internal readonly record struct JournalRecord(long Offset, JournalRecordType Type, FlareMap Payload);

/// <summary>
/// The log's bytes, as docs/journal.md freezes them: a header, then records, each with its length and checksum.
/// Little-endian. Damage at the end is what a crash during an append leaves, and is left out; damage before a sound
/// record is not, and is refused.
/// </summary>
internal static class JournalLog
{
    public const int Version = 1;
    public const int HeaderLength = 16;

    /// <summary>Length (4), type (1), checksum (4).</summary>
    public const int RecordHeadLength = 9;

    /// <summary>A log is read whole; opening and appending refuse to go above this.</summary>
    public const int MaxLength = 1 << 30;

    /// <summary>The log is the server's own, checked by its checksums: larger rounds than one message may carry are
    /// welcome.</summary>
    private static readonly FlareMapLimits Limits = new() { MaxBytes = 256 << 20, MaxItems = 1 << 24,
        MaxNames = 1 << 16, MaxTextBytes = 16 << 20 };

    private static ReadOnlySpan<byte> Magic => "FLAREJNL"u8;

    /// <summary>Writes what a log begins with.</summary>
    public static void WriteHeader(IBufferWriter<byte> output)
    {
        var header = output.GetSpan(HeaderLength);
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], Crc32C.Compute(header[..12]));
        output.Advance(HeaderLength);
    }

    /// <summary>Writes a record.</summary>
    /// <exception cref="FlareException">The payload holds tensors, or is above 256 MiB.</exception>
    public static void WriteRecord(IBufferWriter<byte> output, JournalRecordType type, FlareMap payload)
    {
        var encoded = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(payload, encoded, limits: Limits);
        var head = output.GetSpan(RecordHeadLength);
        BinaryPrimitives.WriteInt32LittleEndian(head, encoded.WrittenCount);
        head[4] = (byte)type;
        BinaryPrimitives.WriteUInt32LittleEndian(head[5..], Crc32C.Compute(head[..5], encoded.WrittenSpan));
        output.Advance(RecordHeadLength);
        output.Write(encoded.WrittenSpan);
    }

    /// <summary>Reads all records.</summary>
    /// <param name="log">The whole file.</param>
    /// <param name="location">Where it lies, for errors.</param>
    /// <param name="soundLength">Bytes up to the end of the last sound record; what lies behind is a torn
    /// append.</param>
    /// <exception cref="FlareException">No log, one of a newer version, or damaged otherwise than at its
    /// end.</exception>
    public static List<JournalRecord> Read(ReadOnlySpan<byte> log, string location, out int soundLength)
    {
        RequireHeader(log, location);
        var records = new List<JournalRecord>();
        soundLength = HeaderLength;
        while (soundLength < log.Length)
        {
            if (!TryRecord(log[soundLength..], out var type, out var payload))
            {
                // Only damage before a sound record is told from a torn append, whose bytes nobody was promised.
                var next = JournalRecordSearch.FindAfter(log, soundLength);
                if (next < 0) break;
                throw Damaged(location, soundLength,
                    $"the record there does not match its checksum, and a sound one follows at {next}");
            }
            if (!Enum.IsDefined(type))
                throw Newer(
                    location, $"holds a record of the type {(byte)type}, which this version of Flare does not know");
            try
            {
                records.Add(new(soundLength, type, FlareMapCodec.Read(payload, limits: Limits)));
            }
            catch (FlareException e)
            {
                throw Damaged(location, soundLength, "the record there cannot be read", e);
            }
            soundLength += RecordHeadLength + payload.Length;
        }
        return records;
    }

    /// <summary>The error for a log that cannot be trusted.</summary>
    public static FlareException Damaged(string location, long offset, string how, Exception? inner = null) =>
        new(ErrorIds.Journal,
            $"The journal in '{location}' is damaged at offset {offset} of {Journal.LogName}: {how}. Restore the "
                + "folder from a backup, or start the job anew with an empty one.", inner);

    /// <summary>Refuses a file that is longer than a log grows to.</summary>
    public static void RequireLength(long length, string location)
    {
        if (length > MaxLength)
            throw Damaged(location, MaxLength, $"it has {Readable.Format(length, "N0")} "
                + "bytes, more than a journal grows to");
    }

    private static void RequireHeader(ReadOnlySpan<byte> log, string location)
    {
        // The file appears whole, by a rename: a short header is no crash's doing.
        if (log.Length < HeaderLength || !log.StartsWith(Magic))
            throw Damaged(location, 0, "it does not begin as a journal does");
        if (BinaryPrimitives.ReadUInt32LittleEndian(log[12..]) != Crc32C.Compute(log[..12]))
            throw Damaged(location, 8, "the header does not match its checksum");
        var version = BinaryPrimitives.ReadUInt32LittleEndian(log[8..]);
        if (version != Version)
            throw Newer(location, $"has the format version {version}, where this version of Flare reads {Version}");
    }

    private static FlareException Newer(string location, string how) =>
        new(ErrorIds.Journal,
            $"The journal in '{location}' {how}. Resume the job with the "
                + "version of Flare that wrote it, or a newer one.");

    private static bool TryRecord(ReadOnlySpan<byte> bytes, out JournalRecordType type, out ReadOnlySpan<byte> payload)
    {
        type = default;
        payload = default;
        if (bytes.Length <= RecordHeadLength) return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        if (length <= 0 || length > bytes.Length - RecordHeadLength) return false;
        type = (JournalRecordType)bytes[4];
        payload = bytes.Slice(RecordHeadLength, length);
        return Crc32C.Compute(bytes[..5], payload) == BinaryPrimitives.ReadUInt32LittleEndian(bytes[5..]);
    }
}
