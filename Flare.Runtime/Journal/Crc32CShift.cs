namespace Flare.Runtime;

/// <summary>
/// What so many bytes more do to a CRC-32C's remainder, without looking at them: a multiplication by a power of x
/// modulo the polynomial (as zlib's crc32_combine). So the checksum of any part of a buffer follows from the remainders
/// at its two ends.
/// </summary>
internal static class Crc32CShift
{
    private const uint Polynomial = 0x82f63b78; // reflected: the top bit is x^0
    private const uint One = 1u << 31;

    // x^(8 i 256^k) at [256 k + i].
    private static readonly uint[] Powers = MakePowers();

    /// <summary>The remainder of what had this one, and then as many zero bytes.</summary>
    /// <param name="remainder">A raw remainder.</param>
    /// <param name="bytes">How many; not negative.</param>
    public static uint Shift(uint remainder, int bytes)
    {
        for (var table = 0; bytes > 0; bytes >>= 8, table += 256)
            if ((bytes & 0xff) != 0) remainder = Multiply(Powers[table + (bytes & 0xff)], remainder);
        return remainder;
    }

    private static uint[] MakePowers()
    {
        var powers = new uint[4 * 256];
        var step = One >> 8; // x^8
        for (var table = 0; table < powers.Length; table += 256)
        {
            powers[table] = One;
            for (var i = 1; i < 256; i++) powers[table + i] = Multiply(powers[table + i - 1], step);
            step = Multiply(powers[table + 255], step);
        }
        return powers;
    }

    private static uint Multiply(uint a, uint b)
    {
        var product = 0u;
        for (; a != 0; a <<= 1)
        {
            if ((a & One) != 0) product ^= b;
            b = (b & 1) != 0 ? b >> 1 ^ Polynomial : b >> 1;
        }
        return product;
    }
}
