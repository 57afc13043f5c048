using System.Buffers.Binary;
using System.Numerics;

namespace Flare;

/// <summary>The exact sums of the weights, per tensor.</summary>
internal sealed unsafe class WeightSums(int tensors)
{
    /// <summary>Words of a sum: 2^28 weights of up to 2^64, in steps of 2^-116.</summary>
    public const int Words = 8;

    /// <summary>The exponent of a sum's lowest bit.</summary>
    public const int Low = -128;

    /// <summary>The exponent of the lowest bit that a weight can have.</summary>
    public const int LowestBit = -116;

    private readonly long[] _words = new long[tensors * Words];
    private readonly int[] _counts = new int[tensors];

    public void Clear()
    {
        Array.Clear(_words);
        Array.Clear(_counts);
    }

    public void CopyFrom(WeightSums other)
    {
        other._words.CopyTo(_words, 0);
        other._counts.CopyTo(_counts, 0);
    }

    /// <summary>The contributions that hold a tensor.</summary>
    public int CountOf(int tensor) => _counts[tensor];

    /// <summary>The sum as non-negative words of 32 bits, lowest first.</summary>
    public ReadOnlySpan<long> WordsOf(int tensor) => _words.AsSpan(tensor * Words, Words);

    /// <summary>Adds a weight, or takes a negative one out; false where the result cannot be a sum of
    /// weights.</summary>
    public bool TryAdd(int tensor, in Weight weight)
    {
        var words = _words.AsSpan(tensor * Words, Words);
        fixed (long* pointer = words) LongAccumulator.Add(
            pointer, weight.Exponent - Low, 0, weight.Mantissa, weight.IsNegative);
        var negative = LongAccumulator.Normalize(words);
        _counts[tensor] += weight.IsNegative ? -1 : 1;
        return !negative && _counts[tensor] >= 0 && (_counts[tensor] == 0) == (words.IndexOfAnyExcept(0) < 0);
    }

    /// <summary>Adds all of another's sums.</summary>
    public void Add(WeightSums other)
    {
        for (var i = 0; i < _words.Length; i++) _words[i] += other._words[i];
        for (var i = 0; i < _counts.Length; i++)
        {
            LongAccumulator.Normalize(_words.AsSpan(i * Words, Words));
            _counts[i] += other._counts[i];
        }
    }

    /// <summary>Writes a count and a sum: 32 bits, and a word of 32 bits for each of the sum's.</summary>
    public void Write(int tensor, Span<byte> to)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to, _counts[tensor]);
        var words = WordsOf(tensor);
        for (var i = 0; i < Words; i++) BinaryPrimitives.WriteUInt32LittleEndian(to[(4 + 4 * i)..], (uint)words[i]);
    }

    /// <summary>Reads what <see cref="Write"/> wrote; false where no weights can have that sum.</summary>
    public bool TryRead(int tensor, ReadOnlySpan<byte> from, int most)
    {
        var count = BinaryPrimitives.ReadInt32LittleEndian(from);
        if (count < 0 || count > most) return false;
        var words = _words.AsSpan(tensor * Words, Words);
        var sum = BigInteger.Zero;
        for (var i = Words - 1; i >= 0; i--)
        {
            words[i] = BinaryPrimitives.ReadUInt32LittleEndian(from[(4 + 4 * i)..]);
            sum = (sum << 32) + words[i];
        }
        _counts[tensor] = count;
        // So many weights from 2^-64 to 2^64, none of which has a bit below the lowest.
        return sum >= (BigInteger)count << (-64 - Low) && sum <= (BigInteger)count << (64 - Low)
            && (words[0] & ((1L << (LowestBit - Low)) - 1)) == 0;
    }

    /// <summary>The sum as a divisor.</summary>
    public Quotient Of(int tensor)
    {
        Span<long> words = stackalloc long[Words];
        WordsOf(tensor).CopyTo(words);
        LongAccumulator.Round(words, Low, out var nearest, out var rest, out var exponent);
        return new(Math.ScaleB(nearest, exponent), Math.ScaleB(rest, exponent));
    }
}
