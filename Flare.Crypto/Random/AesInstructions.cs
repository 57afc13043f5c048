using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Instructions = System.Runtime.Intrinsics.X86.Aes;

namespace Flare.Crypto;

/// <summary>
/// AES-256 over counters by the processor's own instructions (x86), eight blocks in flight: a call into the platform's
/// AES costs nearly as much again for batches of this size. The platform's is what <see cref="AesStream"/> takes
/// elsewhere.
/// </summary>
/// <remarks>NIST FIPS 197; the instructions take the same time for all data and keys.</remarks>
internal static class AesInstructions
{
    /// <summary>Round keys of AES-256.</summary>
    public const int RoundKeys = 15;

    /// <summary>Blocks computed at a time.</summary>
    public const int Stride = 8;

    public static bool IsSupported => Instructions.IsSupported && BitConverter.IsLittleEndian;

    /// <summary>The key schedule.</summary>
    /// <param name="key">32 bytes.</param>
    /// <param name="keys">Receives the round keys.</param>
    public static void Expand(ReadOnlySpan<byte> key, Span<Vector128<byte>> keys)
    {
        (keys[0], keys[1]) = (Vector128.Create(key), Vector128.Create(key[16..]));
        Even(keys, 2, Instructions.KeygenAssist(keys[1], 0x01));
        Odd(keys, 3);
        Even(keys, 4, Instructions.KeygenAssist(keys[3], 0x02));
        Odd(keys, 5);
        Even(keys, 6, Instructions.KeygenAssist(keys[5], 0x04));
        Odd(keys, 7);
        Even(keys, 8, Instructions.KeygenAssist(keys[7], 0x08));
        Odd(keys, 9);
        Even(keys, 10, Instructions.KeygenAssist(keys[9], 0x10));
        Odd(keys, 11);
        Even(keys, 12, Instructions.KeygenAssist(keys[11], 0x20));
        Odd(keys, 13);
        Even(keys, 14, Instructions.KeygenAssist(keys[13], 0x40));
    }

    /// <summary>The blocks AES(LE64(stream) ‖ LE64(block)), AES(LE64(stream) ‖ LE64(block + 1)) …</summary>
    /// <param name="keys">The round keys.</param>
    /// <param name="stream">The counters' first half.</param>
    /// <param name="block">The second half of the first.</param>
    /// <param name="output">Whole strides of blocks.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe void Generate(
        AlignedBuffer<Vector128<byte>> keys, ulong stream, ulong block, Span<byte> output)
    {
        var key = keys.Pointer;
        fixed (byte* start = output)
        {
            var end = start + (output.Length & -(16 * Stride));
            for (var to = start; to < end; to += 16 * Stride, block += Stride)
            {
                var first = key[0];
                var b0 = Vector128.Create(stream, block).AsByte() ^ first;
                var b1 = Vector128.Create(stream, block + 1).AsByte() ^ first;
                var b2 = Vector128.Create(stream, block + 2).AsByte() ^ first;
                var b3 = Vector128.Create(stream, block + 3).AsByte() ^ first;
                var b4 = Vector128.Create(stream, block + 4).AsByte() ^ first;
                var b5 = Vector128.Create(stream, block + 5).AsByte() ^ first;
                var b6 = Vector128.Create(stream, block + 6).AsByte() ^ first;
                var b7 = Vector128.Create(stream, block + 7).AsByte() ^ first;
                for (var round = 1; round < RoundKeys - 1; round++)
                {
                    var k = key[round];
                    b0 = Instructions.Encrypt(b0, k);
                    b1 = Instructions.Encrypt(b1, k);
                    b2 = Instructions.Encrypt(b2, k);
                    b3 = Instructions.Encrypt(b3, k);
                    b4 = Instructions.Encrypt(b4, k);
                    b5 = Instructions.Encrypt(b5, k);
                    b6 = Instructions.Encrypt(b6, k);
                    b7 = Instructions.Encrypt(b7, k);
                }

                var last = key[RoundKeys - 1];
                Instructions.EncryptLast(b0, last).Store(to);
                Instructions.EncryptLast(b1, last).Store(to + 16);
                Instructions.EncryptLast(b2, last).Store(to + 32);
                Instructions.EncryptLast(b3, last).Store(to + 48);
                Instructions.EncryptLast(b4, last).Store(to + 64);
                Instructions.EncryptLast(b5, last).Store(to + 80);
                Instructions.EncryptLast(b6, last).Store(to + 96);
                Instructions.EncryptLast(b7, last).Store(to + 112);
            }
        }
    }

    private static void Even(Span<Vector128<byte>> keys, int i, Vector128<byte> assist)
        => keys[i] = Running(keys[i - 2]) ^ Sse2.Shuffle(assist.AsInt32(), 0xFF).AsByte();

    private static void Odd(Span<Vector128<byte>> keys, int i)
        => keys[i] = Running(keys[i - 2]) ^ Sse2.Shuffle(
            Instructions.KeygenAssist(keys[i - 1], 0).AsInt32(), 0xAA).AsByte();

    /// <summary>Each word xor all words before it.</summary>
    private static Vector128<byte> Running(Vector128<byte> key)
    {
        key ^= Sse2.ShiftLeftLogical128BitLane(key, 4);
        return key ^ Sse2.ShiftLeftLogical128BitLane(key, 8);
    }
}
