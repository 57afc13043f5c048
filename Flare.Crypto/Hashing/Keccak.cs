using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>SHAKE256 (FIPS 202): the platform's where it has one, else this managed sponge.</summary>
internal static class Keccak
{
    private const int Rate = 136;

    private static ReadOnlySpan<byte> Rotations =>
        [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];

    private static ReadOnlySpan<byte> Lanes =>
        [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];

    private static ReadOnlySpan<ulong> RoundConstants =>
    [
        0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
        0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
        0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
        0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
        0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
    ];

    /// <summary>Fills <paramref name="output"/> with SHAKE256 of <paramref name="message"/>.</summary>
    public static void Shake256(ReadOnlySpan<byte> message, Span<byte> output)
    {
        if (System.Security.Cryptography.Shake256.IsSupported)
            System.Security.Cryptography.Shake256.HashData(message, output);
        else
            ManagedShake256(message, output);
    }

    internal static void ManagedShake256(ReadOnlySpan<byte> message, Span<byte> output)
    {
        Span<ulong> state = stackalloc ulong[25];
        Span<byte> block = stackalloc byte[Rate];
        state.Clear();
        while (message.Length >= Rate)
        {
            Absorb(state, message[..Rate]);
            message = message[Rate..];
        }
        block.Clear();
        message.CopyTo(block);
        block[message.Length] = 0x1F;
        block[Rate - 1] |= 0x80;
        Absorb(state, block);

        while (true)
        {
            for (var i = 0; i < Rate / 8; i++)
                BinaryPrimitives.WriteUInt64LittleEndian(block[(8 * i)..], state[i]);
            var take = Math.Min(Rate, output.Length);
            block[..take].CopyTo(output);
            output = output[take..];
            if (output.IsEmpty) break;
            Permute(state);
        }
        CryptographicOperations.ZeroMemory(block);
    }

    private static void Absorb(Span<ulong> state, ReadOnlySpan<byte> block)
    {
        for (var i = 0; i < Rate / 8; i++)
            state[i] ^= BinaryPrimitives.ReadUInt64LittleEndian(block[(8 * i)..]);
        Permute(state);
    }

    private static void Permute(Span<ulong> a)
    {
        Span<ulong> c = stackalloc ulong[5];
        foreach (var constant in RoundConstants)
        {
            for (var x = 0; x < 5; x++)
                c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
            for (var x = 0; x < 5; x++)
            {
                var d = c[(x + 4) % 5] ^ BitOperations.RotateLeft(c[(x + 1) % 5], 1);
                for (var y = 0; y < 25; y += 5) a[x + y] ^= d;
            }
            var carried = a[1];
            for (var i = 0; i < 24; i++)
            {
                var lane = Lanes[i];
                (carried, a[lane]) = (a[lane], BitOperations.RotateLeft(carried, Rotations[i]));
            }
            for (var y = 0; y < 25; y += 5)
            {
                a.Slice(y, 5).CopyTo(c);
                for (var x = 0; x < 5; x++)
                    a[x + y] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
            }
            a[0] ^= constant;
        }
    }
}
