using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Crypto;

/// <summary>
/// TenSEAL's CKKSVector, as its <c>serialize()</c> writes it: a protobuf message of SEAL ciphertexts, the number of
/// values in each, and the scale. NVIDIA FLARE's encrypted models are made of these.
/// </summary>
/// <remarks>The message: 1 repeated uint32 sizes, 2 repeated bytes ciphertexts, 3 double scale.</remarks>
public sealed class TenSealVector
{
    /// <summary>The default limit on ciphertexts: 16 million values at N = 8192.</summary>
    public const int DefaultMaxCiphertexts = 4096;

    // (field << 3) | wire type
    private const uint SizeTag = 1 << 3, PackedSizesTag = 1 << 3 | 2, CiphertextTag = 2 << 3 | 2, ScaleTag = 3 << 3 | 1;

    /// <summary>Puts a vector together.</summary>
    /// <param name="ciphertexts">At least one, all of the same parameters.</param>
    /// <param name="sizes">How many values each holds: 1 to N/2.</param>
    /// <param name="scale">The scale that values are encoded with.</param>
    /// <exception cref="FlareCryptoException">Counts, sizes or parameters do not fit together.</exception>
    public TenSealVector(IReadOnlyList<CkksCiphertext> ciphertexts, IReadOnlyList<int> sizes, double scale)
    {
        ArgumentNullException.ThrowIfNull(ciphertexts);
        ArgumentNullException.ThrowIfNull(sizes);
        if (ciphertexts.Count == 0 || ciphertexts.Count != sizes.Count)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"A CKKSVector has as many sizes as ciphertexts, at least one; these are {sizes.Count} and "
                    + $"{ciphertexts.Count}.");
        for (var i = 0; i < sizes.Count; i++)
        {
            ciphertexts[0].Parameters.CheckMatches(ciphertexts[i].Parameters, $"Ciphertext {i} of the CKKSVector");
            if (sizes[i] < 1 || sizes[i] > ciphertexts[i].Parameters.SlotCount)
                throw new FlareCryptoException(CryptoFault.Malformed,
                    $"Ciphertext {i} of the CKKSVector cannot hold {sizes[i]} values; 1 to "
                        + $"{ciphertexts[i].Parameters.SlotCount} fit.");
        }
        CkksChecks.Scale(scale, ciphertexts[0].Parameters.FirstLevel);
        (Ciphertexts, Sizes, Scale) = (ciphertexts, sizes, scale);
    }

    /// <summary>The ciphertexts, in the order of the values.</summary>
    public IReadOnlyList<CkksCiphertext> Ciphertexts { get; }

    /// <summary>How many values each ciphertext holds.</summary>
    public IReadOnlyList<int> Sizes { get; }

    /// <summary>The scale that values are encoded with.</summary>
    public double Scale { get; }

    /// <summary>Reads a message.</summary>
    /// <param name="message">The message, whole.</param>
    /// <param name="parameters">The parameters that its ciphertexts must be of.</param>
    /// <param name="maxCiphertexts">The most ciphertexts to accept, as each takes memory for all its slots.</param>
    /// <exception cref="FlareCryptoException">It is malformed, too large, or of other parameters.</exception>
    public static TenSealVector Read(
        ReadOnlySpan<byte> message, CkksParameters parameters, int maxCiphertexts = DefaultMaxCiphertexts)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var sizes = new List<int>();
        var ciphertexts = new List<CkksCiphertext>();
        var scale = 0.0;
        while (!message.IsEmpty)
        {
            var tag = Varint(ref message);
            switch (tag)
            {
                case SizeTag:
                    AddSize(Varint(ref message));
                    break;
                case PackedSizesTag:
                    for (var packed = Block(ref message); !packed.IsEmpty;) AddSize(Varint(ref packed));
                    break;
                case CiphertextTag:
                    if (ciphertexts.Count == maxCiphertexts)
                        throw new FlareCryptoException(CryptoFault.Malformed,
                            $"The CKKSVector has more than {maxCiphertexts} "
                                + "ciphertexts; raise the limit if it is meant to.");
                    ciphertexts.Add(SealFile.ReadCiphertext(Block(ref message), parameters));
                    break;
                case ScaleTag:
                    scale = BinaryPrimitives.ReadDoubleLittleEndian(Take(ref message, 8));
                    break;
                default:
                    Skip(tag, ref message);
                    break;
            }
        }
        return new TenSealVector(ciphertexts, sizes, scale);

        void AddSize(ulong size)
        {
            if (sizes.Count == maxCiphertexts)
                throw new FlareCryptoException(CryptoFault.Malformed,
                    $"The CKKSVector has more than {maxCiphertexts} sizes; raise the limit if it is meant to.");
            sizes.Add((int)Math.Min(size, int.MaxValue));
        }
    }

    /// <summary>Writes the message.</summary>
    /// <param name="destination">Where to.</param>
    /// <param name="format">How ciphertexts are written; the default when null.</param>
    public void Write(IBufferWriter<byte> destination, SealFormat? format = null)
    {
        ArgumentNullException.ThrowIfNull(destination);
        var sizes = new ArrayBufferWriter<byte>();
        foreach (var size in Sizes) WriteVarint(sizes, (ulong)size);
        WriteBlock(destination, PackedSizesTag, sizes.WrittenSpan);
        var file = new ArrayBufferWriter<byte>();
        foreach (var ciphertext in Ciphertexts)
        {
            file.ResetWrittenCount();
            SealFile.Write(ciphertext, file, format);
            WriteBlock(destination, CiphertextTag, file.WrittenSpan);
        }
        WriteVarint(destination, ScaleTag);
        BinaryPrimitives.WriteDoubleLittleEndian(destination.GetSpan(8), Scale);
        destination.Advance(8);
    }

    private static ulong Varint(ref ReadOnlySpan<byte> message)
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = Take(ref message, 1)[0];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
        }
        throw new FlareCryptoException(CryptoFault.Malformed,
            "The CKKSVector is damaged: it has an integer of more than 64 bits.");
    }

    private static ReadOnlySpan<byte> Block(ref ReadOnlySpan<byte> message)
    {
        var length = Varint(ref message);
        return Take(ref message, (int)Math.Min(length, int.MaxValue));
    }

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> message, int count)
    {
        if (count > message.Length)
            throw new FlareCryptoException(CryptoFault.Malformed,
                $"The CKKSVector ends early: {count} bytes are wanted, {message.Length} are left.");
        var taken = message[..count];
        message = message[count..];
        return taken;
    }

    private static void Skip(ulong tag, ref ReadOnlySpan<byte> message)
    {
        switch (tag & 7)
        {
            case 0:
                Varint(ref message);
                break;
            case 1:
                Take(ref message, 8);
                break;
            case 2:
                Block(ref message);
                break;
            case 5:
                Take(ref message, 4);
                break;
            default:
                throw new FlareCryptoException(CryptoFault.Malformed,
                    "The CKKSVector is damaged: it has a field of no known type.");
        }
    }

    private static void WriteBlock(IBufferWriter<byte> destination, uint tag, ReadOnlySpan<byte> block)
    {
        WriteVarint(destination, tag);
        WriteVarint(destination, (ulong)block.Length);
        destination.Write(block);
    }

    private static void WriteVarint(IBufferWriter<byte> destination, ulong value)
    {
        var span = destination.GetSpan(10);
        var length = 0;
        for (; value >= 0x80; value >>= 7) span[length++] = (byte)(value | 0x80);
        span[length++] = (byte)value;
        destination.Advance(length);
    }
}
