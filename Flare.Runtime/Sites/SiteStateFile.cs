using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;

namespace Flare.Runtime;

/// <summary>
/// The file of one state of a site: a head, a map, the state dicts that it refers to, each as safetensors, and a
/// checksum of it all. A file that is cut short, damaged, or of another site or job is refused.
/// </summary>
internal sealed class SiteStateFile(string job, string site)
{
    private const string Stem = "state-";
    private const string Ending = ".flare";
    private const int Version = 1;
    private const int HeadLength = 20;

    private static ReadOnlySpan<byte> Magic => "FLRSTATE"u8;

    /// <summary>The name of a state's file, such as <c>state-000012.flare</c>.</summary>
    public static string NameOf(long number) =>
        string.Create(CultureInfo.InvariantCulture, $"{Stem}{number:D6}{Ending}");

    /// <summary>The number of a state by its file's name; null where it is no such name.</summary>
    public static long? NumberOf(string file) =>
        file.StartsWith(Stem, StringComparison.Ordinal) && file.EndsWith(Ending, StringComparison.Ordinal)
        && long.TryParse(
            file.AsSpan(Stem.Length, Math.Max(0, file.Length - Stem.Length - Ending.Length)), NumberStyles.None,
            CultureInfo.InvariantCulture, out var number) && number > 0 && NameOf(number) == file ? number : null;

    /// <summary>Writes a state.</summary>
    public bool Write(Stream stream, long number, SiteStateContent content)
    {
        var tensors = new FlareMap();
        foreach (var (name, value) in content.Tensors) tensors[name] = value;
        var dicts = new List<StateDict>();
        var map = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(
            new FlareMap
            {
                ["job"] = job, ["site"] = site, ["number"] = number, ["round"] = content.Round, ["tensors"] = tensors,
                ["values"] = content.Values, ["lasting"] = content.Lasting,
            }, map, dicts);
        var output = new ChecksumStream(stream);
        Span<byte> head = stackalloc byte[HeadLength];
        Magic.CopyTo(head);
        BinaryPrimitives.WriteInt32LittleEndian(head[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(head[12..], dicts.Count);
        BinaryPrimitives.WriteInt32LittleEndian(head[16..], map.WrittenCount);
        output.Write(head);
        output.Write(map.WrittenSpan);
        foreach (var dict in dicts) dict.Save(output);
        Span<byte> checksum = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(checksum, output.Checksum);
        stream.Write(checksum);
        return true;
    }

    /// <summary>Reads a state.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or another's.</exception>
    public SiteStateContent Read(Stream stream, long number)
    {
        if (!IsWhole(stream))
            throw new InvalidDataException("It is cut short or damaged. Restore it from a backup of this very state.");
        try
        {
            stream.Position = 0;
            Span<byte> head = stackalloc byte[HeadLength];
            stream.ReadExactly(head);
            if (BinaryPrimitives.ReadInt32LittleEndian(head[8..]) is var version && version != Version)
                throw new InvalidDataException($"It is of version {version}, and this is {Version}: update Flare.");
            var encoded = new byte[BinaryPrimitives.ReadInt32LittleEndian(head[16..])];
            stream.ReadExactly(encoded);
            var dicts = new StateDict[BinaryPrimitives.ReadInt32LittleEndian(head[12..])];
            for (var i = 0; i < dicts.Length; i++) dicts[i] = StateDict.Load(stream).Freeze();
            var map = FlareMapCodec.Read(encoded, dicts);
            map.Freeze();
            if ((map["job"].AsText(), map["site"].AsText()) is var owner && owner != (job, site))
            {
                throw new InvalidDataException($"It is of site {owner.Item2} in job '{owner.Item1}', and this is "
                    + $"{site} in job '{job}'. Give each site a folder of its own.");
            }
            if (map["number"].AsInteger() != number)
                throw new InvalidDataException($"It holds state {map["number"].AsInteger()}: it was renamed.");
            return new(
                (int)map["round"].AsInteger(),
                map["tensors"].AsMap().ToDictionary(t => t.Key, t => t.Value.AsTensors(), StringComparer.Ordinal),
                map["values"].AsMap(), map["lasting"].AsMap());
        }
        catch (Exception e) when (e is FlareException or EndOfStreamException)
        {
            // Its checksum is right: what wrote it was not this.
            throw new InvalidDataException($"It is not a site's state: {e.Message}", e);
        }
    }

    private static bool IsWhole(Stream stream)
    {
        var length = stream.Length - sizeof(uint);
        if (length < HeadLength) return false;
        var buffer = ArrayPool<byte>.Shared.Rent(1 << 16);
        try
        {
            var crc = new Crc32C();
            stream.Position = 0;
            for (long at = 0; at < length;)
            {
                var read = stream.Read(buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - at)));
                if (read == 0) return false;
                if (at == 0 && !buffer.AsSpan(0, read).StartsWith(Magic)) return false;
                crc.Append(buffer.AsSpan(0, read));
                at += read;
            }
            Span<byte> checksum = stackalloc byte[sizeof(uint)];
            stream.ReadExactly(checksum);
            return BinaryPrimitives.ReadUInt32LittleEndian(checksum) == crc.Value;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
