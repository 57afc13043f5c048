using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Flare.Crypto;

/// <summary>Runs of integers of one width, bit after bit, lowest first, padded with zeros to a byte.</summary>
internal static class BitPacking
{
    /// <summary>Packs words below 2^width.</summary>
    /// <param name="words">The words.</param>
    /// <param name="width">1 to 127 bits.</param>
    /// <param name="destination">Exactly ⌈words · width / 8⌉ bytes.</param>
    public static void Pack(ReadOnlySpan<UInt128> words, int width, Span<byte> destination)
    {
        var writer = new Writer(destination);
        if (width <= 64)
            foreach (var word in words)
                writer.Push((ulong)word, width);
        else
            foreach (var word in words)
            {
                writer.Push((ulong)word, 64);
                writer.Push((ulong)(word >> 64), width - 64);
            }

        writer.Finish();
    }

    /// <summary>Unpacks words and adds each to a sum.</summary>
    /// <param name="source">Exactly ⌈sums · width / 8⌉ bytes.</param>
    /// <param name="width">1 to 127 bits.</param>
    /// <param name="sums">The sums, which must not overflow.</param>
    public static void AddTo(ReadOnlySpan<byte> source, int width, Span<UInt128> sums)
    {
        var reader = new Reader(source);
        if (width <= 64)
            foreach (ref var sum in sums)
                sum += reader.Pull(width);
        else
            foreach (ref var sum in sums)
            {
                var low = reader.Pull(64);
                sum += new UInt128(reader.Pull(width - 64), low);
            }
    }

    /// <summary>Whether the bits after the last word are zero, as <see cref="Pack"/> leaves them.</summary>
    public static bool IsPaddedWithZeros(ReadOnlySpan<byte> packed, int words, int width)
    {
        var used = (int)((long)words * width % 8);
        return used == 0 || packed[^1] >> used == 0;
    }

    private ref struct Writer(Span<byte> destination)
    {
        private Span<byte> _rest = destination;
        private ulong _pending;
        private int _count; // bits in _pending, below 64

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Push(ulong value, int bits)
        {
            _pending |= value << _count;
            var total = _count + bits;
            if (total >= 64)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(_rest, _pending);
                _rest = _rest[8..];
                _pending = (value >> 1) >> (63 - _count);
                total -= 64;
            }

            _count = total;
        }

        public void Finish()
        {
            for (; _count > 0; _count -= 8, _pending >>= 8, _rest = _rest[1..])
                _rest[0] = (byte)_pending;
        }
    }

    private ref struct Reader(ReadOnlySpan<byte> source)
    {
        private ReadOnlySpan<byte> _rest = source;
        private ulong _pending;
        private int _count; // bits in _pending, below 64

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public ulong Pull(int bits)
        {
            var mask = ulong.MaxValue >> (64 - bits);
            if (_count >= bits)
            {
                var value = _pending & mask;
                _pending >>= bits;
                _count -= bits;
                return value;
            }
            else
            {
                var next = Load();
                var value = (_pending | (next << _count)) & mask;
                var used = bits - _count;
                _pending = (next >> 1) >> (used - 1);
                _count = 64 - used;
                return value;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private ulong Load()
        {
            if (_rest.Length >= 8)
            {
                var word = BinaryPrimitives.ReadUInt64LittleEndian(_rest);
                _rest = _rest[8..];
                return word;
            }

            return LoadLast();
        }

        private ulong LoadLast()
        {
            var word = 0ul;
            for (var i = 0; i < _rest.Length; i++)
                word |= (ulong)_rest[i] << (8 * i);
            _rest = default;
            return word;
        }
    }
}
