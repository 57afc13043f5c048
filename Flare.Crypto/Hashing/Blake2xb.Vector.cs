using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

internal sealed partial class Blake2xb
{
    private static unsafe void ExpandNodes512(ReadOnlySpan<ulong> root, Span<byte> output)
    {
        var m = stackalloc ulong[16];
        var h = stackalloc ulong[8];
        new Span<ulong>(m, 16).Clear();
        root.CopyTo(new Span<ulong>(m, 8));
        NodeState(new Span<ulong>(h, 8));
        var iv = Blake2b.Iv;
        fixed (byte* sigma = Blake2b.Sigma)
        fixed (byte* destination = output)
        {
            for (var node = 0; node < OutputSize / NodeSize; node += 8)
            {
                var number = Vector512.Create(h[1]) ^ (Vector512.Create((ulong)node) + Vector512.Create(
                    0UL, 1, 2, 3, 4, 5, 6, 7));
                var v0 = Vector512.Create(h[0]);
                var v1 = number;
                var v2 = Vector512.Create(h[2]);
                var v3 = Vector512.Create(h[3]);
                var v4 = Vector512.Create(h[4]);
                var v5 = Vector512.Create(h[5]);
                var v6 = Vector512.Create(h[6]);
                var v7 = Vector512.Create(h[7]);
                var v8 = Vector512.Create(iv[0]);
                var v9 = Vector512.Create(iv[1]);
                var v10 = Vector512.Create(iv[2]);
                var v11 = Vector512.Create(iv[3]);
                var v12 = Vector512.Create(iv[4] ^ NodeSize);
                var v13 = Vector512.Create(iv[5]);
                var v14 = Vector512.Create(~iv[6]);
                var v15 = Vector512.Create(iv[7]);
                for (var s = sigma; s < sigma + 12 * 16; s += 16)
                {
                    Mix(ref v0, ref v4, ref v8, ref v12, m[s[0]], m[s[1]]);
                    Mix(ref v1, ref v5, ref v9, ref v13, m[s[2]], m[s[3]]);
                    Mix(ref v2, ref v6, ref v10, ref v14, m[s[4]], m[s[5]]);
                    Mix(ref v3, ref v7, ref v11, ref v15, m[s[6]], m[s[7]]);
                    Mix(ref v0, ref v5, ref v10, ref v15, m[s[8]], m[s[9]]);
                    Mix(ref v1, ref v6, ref v11, ref v12, m[s[10]], m[s[11]]);
                    Mix(ref v2, ref v7, ref v8, ref v13, m[s[12]], m[s[13]]);
                    Mix(ref v3, ref v4, ref v9, ref v14, m[s[14]], m[s[15]]);
                }
                v0 ^= v8 ^ Vector512.Create(h[0]);
                v1 ^= v9 ^ number;
                v2 ^= v10 ^ Vector512.Create(h[2]);
                v3 ^= v11 ^ Vector512.Create(h[3]);
                v4 ^= v12 ^ Vector512.Create(h[4]);
                v5 ^= v13 ^ Vector512.Create(h[5]);
                v6 ^= v14 ^ Vector512.Create(h[6]);
                v7 ^= v15 ^ Vector512.Create(h[7]);

                // Lane = node, register = word; memory wants the words of a node together: an 8 x 8 transposition.
                var target = (ulong*)(destination + NodeSize * node);
                var a0 = Avx512F.UnpackLow(v0, v1);
                var a1 = Avx512F.UnpackHigh(v0, v1);
                var a2 = Avx512F.UnpackLow(v2, v3);
                var a3 = Avx512F.UnpackHigh(v2, v3);
                var a4 = Avx512F.UnpackLow(v4, v5);
                var a5 = Avx512F.UnpackHigh(v4, v5);
                var a6 = Avx512F.UnpackLow(v6, v7);
                var a7 = Avx512F.UnpackHigh(v6, v7);
                StoreColumns(a0, a2, a4, a6, target);
                StoreColumns(a1, a3, a5, a7, target + 8);
            }
        }
    }

    // Four registers of word pairs, each 128-bit lane one node; nodes 0, 2, 4, 6 from here are 16 words apart.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void StoreColumns(
        Vector512<ulong> p, Vector512<ulong> q, Vector512<ulong> r, Vector512<ulong> s, ulong* target)
    {
        var pq02 = Avx512F.Shuffle4x128(p, q, 0x88);
        var pq13 = Avx512F.Shuffle4x128(p, q, 0xDD);
        var rs02 = Avx512F.Shuffle4x128(r, s, 0x88);
        var rs13 = Avx512F.Shuffle4x128(r, s, 0xDD);
        Avx512F.Shuffle4x128(pq02, rs02, 0x88).Store(target);
        Avx512F.Shuffle4x128(pq13, rs13, 0x88).Store(target + 16);
        Avx512F.Shuffle4x128(pq02, rs02, 0xDD).Store(target + 32);
        Avx512F.Shuffle4x128(pq13, rs13, 0xDD).Store(target + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Mix(
        ref Vector512<ulong> a, ref Vector512<ulong> b, ref Vector512<ulong> c, ref Vector512<ulong> d, ulong x,
        ulong y)
    {
        a = Avx512F.Add(Avx512F.Add(a, Vector512.Create(x)), b);
        d = Avx512F.RotateRight(Avx512F.Xor(d, a), 32);
        c = Avx512F.Add(c, d);
        b = Avx512F.RotateRight(Avx512F.Xor(b, c), 24);
        a = Avx512F.Add(Avx512F.Add(a, Vector512.Create(y)), b);
        d = Avx512F.RotateRight(Avx512F.Xor(d, a), 16);
        c = Avx512F.Add(c, d);
        b = Avx512F.RotateRight(Avx512F.Xor(b, c), 63);
    }

    private static unsafe void ExpandNodes256(ReadOnlySpan<ulong> root, Span<byte> output)
    {
        var m = stackalloc ulong[16];
        var h = stackalloc ulong[8];
        var v = stackalloc Vector256<ulong>[16];
        new Span<ulong>(m, 16).Clear();
        root.CopyTo(new Span<ulong>(m, 8));
        NodeState(new Span<ulong>(h, 8));
        var words = MemoryMarshal.Cast<byte, ulong>(output);
        fixed (byte* sigma = Blake2b.Sigma)
        {
            for (var node = 0; node < OutputSize / NodeSize; node += 4)
            {
                var number = Vector256.Create(h[1]) ^ (Vector256.Create((ulong)node) + Vector256.Create(0UL, 1, 2, 3));
                for (var i = 0; i < 8; i++)
                {
                    v[i] = Vector256.Create(h[i]);
                    v[i + 8] = Vector256.Create(Blake2b.Iv[i]);
                }
                v[1] = number;
                v[12] ^= Vector256.Create((ulong)NodeSize);
                v[14] = ~v[14];
                for (var s = sigma; s < sigma + 12 * 16; s += 16)
                {
                    Mix(ref v[0], ref v[4], ref v[8], ref v[12], m[s[0]], m[s[1]]);
                    Mix(ref v[1], ref v[5], ref v[9], ref v[13], m[s[2]], m[s[3]]);
                    Mix(ref v[2], ref v[6], ref v[10], ref v[14], m[s[4]], m[s[5]]);
                    Mix(ref v[3], ref v[7], ref v[11], ref v[15], m[s[6]], m[s[7]]);
                    Mix(ref v[0], ref v[5], ref v[10], ref v[15], m[s[8]], m[s[9]]);
                    Mix(ref v[1], ref v[6], ref v[11], ref v[12], m[s[10]], m[s[11]]);
                    Mix(ref v[2], ref v[7], ref v[8], ref v[13], m[s[12]], m[s[13]]);
                    Mix(ref v[3], ref v[4], ref v[9], ref v[14], m[s[14]], m[s[15]]);
                }
                for (var i = 0; i < 8; i++)
                {
                    var word = v[i] ^ v[i + 8] ^ (i == 1 ? number : Vector256.Create(h[i]));
                    for (var lane = 0; lane < 4; lane++)
                        words[8 * (node + lane) + i] = word.GetElement(lane);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Mix(
        ref Vector256<ulong> va, ref Vector256<ulong> vb, ref Vector256<ulong> vc, ref Vector256<ulong> vd, ulong x,
        ulong y)
    {
        var rotate24 = Vector256.Create(
            (byte)3,
            4,
            5,
            6,
            7,
            0,
            1,
            2,
            11,
            12,
            13,
            14,
            15,
            8,
            9,
            10,
            3,
            4,
            5,
            6,
            7,
            0,
            1,
            2,
            11,
            12,
            13,
            14,
            15,
            8,
            9,
            10);
        var rotate16 = Vector256.Create(
            (byte)2,
            3,
            4,
            5,
            6,
            7,
            0,
            1,
            10,
            11,
            12,
            13,
            14,
            15,
            8,
            9,
            2,
            3,
            4,
            5,
            6,
            7,
            0,
            1,
            10,
            11,
            12,
            13,
            14,
            15,
            8,
            9);
        var a = va + vb + Vector256.Create(x);
        var d = Avx2.Shuffle((vd ^ a).AsUInt32(), 0xB1).AsUInt64();
        var c = vc + d;
        var b = Avx2.Shuffle((vb ^ c).AsByte(), rotate24).AsUInt64();
        a = a + b + Vector256.Create(y);
        d = Avx2.Shuffle((d ^ a).AsByte(), rotate16).AsUInt64();
        c += d;
        b ^= c;
        va = a;
        vb = (b + b) ^ (b >>> 63);
        vc = c;
        vd = d;
    }
}
