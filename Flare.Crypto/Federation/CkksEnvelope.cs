using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Crypto;

/// <summary>
/// What stands before the SEAL files of an upload or a sum: u32 length, and a <see cref="FlareMap"/> in MessagePack.
/// SEAL's own headers say nothing of key, round or members.
/// </summary>
internal static class CkksEnvelope
{
    private const int MaxHeaderBytes = 1 << 23;

    public static byte[] Write(string parameters, PartHeader header)
    {
        var buffer = new ArrayBufferWriter<byte>();
        BinaryPrimitives.WriteInt32LittleEndian(buffer.GetSpan(4), 0);
        buffer.Advance(4);
        FlareMapCodec.Write(
            new FlareMap
            {
                ["v"] = 1,
                ["parameters"] = parameters,
                ["key"] = header.Key.ToString(),
                ["job"] = header.Round.Job,
                ["number"] = header.Round.Number,
                ["elements"] = header.Elements,
                ["members"] = FlareValue.List([.. header.Members.Select(m => (FlareValue)m)]),
            },
            buffer);
        var bytes = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length - 4);
        return bytes;
    }

    /// <summary>Reads it; what is wrong in any way is <see cref="CryptoFault.Malformed"/>.</summary>
    public static PartHeader Read(
        ReadOnlySpan<byte> ciphertext, string parameters, int maxMembers, out ReadOnlySpan<byte> body)
    {
        if (ciphertext.Length < 4) throw Malformed("it is empty");
        var length = BinaryPrimitives.ReadInt32LittleEndian(ciphertext);
        if (length is < 1 or > MaxHeaderBytes || length > ciphertext.Length - 4)
            throw Malformed("its header's length is out of range");
        PartHeader header;
        try
        {
            var map = FlareMapCodec.Read(ciphertext.Slice(4, length));
            if (map["v"].AsInteger() != 1) throw Malformed($"its version is {map["v"]}; this release reads version 1");
            if (map["parameters"].AsText() != parameters)
                throw new FlareCryptoException(
                    CryptoFault.WrongParameters,
                    $"The ciphertext was made under parameters {map["parameters"]}, not {parameters}: all sites and "
                        + "the server must choose alike.");
            header = new(
                KeyId.Parse(map["key"].AsText()),
                new(map["job"].AsText(), map["number"].AsInteger()),
                checked((int)map["elements"].AsInteger()),
                [.. map["members"].AsList().Select(m => m.AsText())]);
        }
        catch (Exception e) when (
            e is FormatException or OverflowException or FlareException and not FlareCryptoException)
        {
            throw Malformed(e.Message);
        }
        if (header.Elements < 0) throw Malformed("it has a negative number of elements");
        if (header.Members.Count < 1 || header.Members.Count > maxMembers)
            throw new FlareCryptoException(
                CryptoFault.TooManySummands,
                $"The ciphertext is a sum of {header.Members.Count} uploads, where 1 to {maxMembers} are allowed.");
        for (var i = 1; i < header.Members.Count; i++)
            if (string.CompareOrdinal(header.Members[i - 1], header.Members[i]) >= 0)
                throw Malformed("its members are not in order, or one occurs twice");
        body = ciphertext[(4 + length)..];
        return header;
    }

    public static FlareCryptoException Malformed(string what)
        => new(CryptoFault.Malformed, $"This is not a CKKS ciphertext of a federation: {what}.");
}
