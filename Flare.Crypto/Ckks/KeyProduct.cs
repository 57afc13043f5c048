using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>The secret polynomial made ready to multiply with: each residue with its Shoup quotient.</summary>
internal sealed class KeyProduct : IDisposable
{
    private readonly CkksSecretKey _key;
    private readonly ulong[] _quotients;
    private readonly bool _vector;

    /// <summary>Prepares a key; <paramref name="path"/> is forced only by tests.</summary>
    public KeyProduct(CkksSecretKey key, KernelPath path = KernelPath.Best)
    {
        ArgumentNullException.ThrowIfNull(key);
        _key = key;
        _vector = path != KernelPath.Portable && Avx512DQ.IsSupported;
        var residues = key.Residues;
        var n = key.Parameters.Degree;
        _quotients = GC.AllocateUninitializedArray<ulong>(residues.Length, pinned: true);
        for (var i = 0; i < residues.Length; i++)
            _quotients[i] = key.Parameters.Transforms[i / n].Modulus.Quotient(residues[i]);
    }

    public CkksParameters Parameters => _key.Parameters;

    /// <summary>c -= a·s modulo the prime of this number, for N residues.</summary>
    public void SubtractFrom(Span<ulong> c, ReadOnlySpan<ulong> a, int prime)
    {
        var modulus = Part(prime, c, a, out var secret, out var quotients);
        var q = modulus.Value;
        if (_vector)
        {
            var vq = Vector512.Create(q);
            for (var j = 0; j < c.Length; j += Vector512<ulong>.Count)
            {
                var product = Product(a[j..], secret[j..], quotients[j..], vq);
                Once(Vector512.Create<ulong>(c[j..]) + (vq - product), vq).CopyTo(c[j..]);
            }
            return;
        }
        for (var j = 0; j < c.Length; j++)
            c[j] = Modulus.Once(c[j] + (q - modulus.MultiplyFixed(a[j], secret[j], quotients[j])), q);
    }

    /// <summary>c += a·s modulo the prime of this number, for N residues.</summary>
    public void AddTo(Span<ulong> c, ReadOnlySpan<ulong> a, int prime)
    {
        var modulus = Part(prime, c, a, out var secret, out var quotients);
        var q = modulus.Value;
        if (_vector)
        {
            var vq = Vector512.Create(q);
            for (var j = 0; j < c.Length; j += Vector512<ulong>.Count)
            {
                var product = Product(a[j..], secret[j..], quotients[j..], vq);
                Once(Vector512.Create<ulong>(c[j..]) + product, vq).CopyTo(c[j..]);
            }
            return;
        }
        for (var j = 0; j < c.Length; j++)
            c[j] = Modulus.Once(c[j] + modulus.MultiplyFixed(a[j], secret[j], quotients[j]), q);
    }

    /// <summary>Erases the quotients; the key stays its owner's.</summary>
    public void Dispose() => CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_quotients.AsSpan()));

    // Shoup's product with the exact high word, put together from four products of halves.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Product(
        ReadOnlySpan<ulong> factors, ReadOnlySpan<ulong> secret, ReadOnlySpan<ulong> quotients, Vector512<ulong> q)
    {
        var a = Vector512.Create(factors);
        var b = Vector512.Create(quotients);
        var (aHigh, bHigh) = (a >>> 32, b >>> 32);
        var low = Avx512F.Multiply(a.AsUInt32(), b.AsUInt32());
        var middle = Avx512F.Multiply(aHigh.AsUInt32(), b.AsUInt32()) + (low >>> 32);
        var other = Avx512F.Multiply(
            a.AsUInt32(), bHigh.AsUInt32()) + (middle & Vector512.Create((ulong)uint.MaxValue));
        var high = Avx512F.Multiply(aHigh.AsUInt32(), bHigh.AsUInt32()) + (middle >>> 32) + (other >>> 32);
        var product = Avx512DQ.MultiplyLow(a, Vector512.Create(secret)) - Avx512DQ.MultiplyLow(high, q);
        return Once(product, q);
    }

    // Of x and x - q the smaller: below q, x - q wraps around to something huge.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Once(Vector512<ulong> x, Vector512<ulong> q) => Avx512F.Min(x, x - q);

    private Modulus Part(
        int prime, Span<ulong> c, ReadOnlySpan<ulong> a, out ReadOnlySpan<ulong> secret,
        out ReadOnlySpan<ulong> quotients)
    {
        var n = Parameters.Degree;
        ArgumentOutOfRangeException.ThrowIfNotEqual(c.Length, n, nameof(c));
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Length, n, nameof(a));
        secret = _key.Residues.AsSpan(prime * n, n);
        quotients = _quotients.AsSpan(prime * n, n);
        return Parameters.Transforms[prime].Modulus;
    }
}
