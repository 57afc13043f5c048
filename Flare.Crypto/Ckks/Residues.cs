using System.Numerics;

namespace Flare.Crypto;

/// <summary>Polynomials modulo one prime, value by value; every operand and result lies in [0, q).</summary>
internal static class Residues
{
    /// <summary>a += b.</summary>
    public static void Add(Span<ulong> a, ReadOnlySpan<ulong> b, ulong q)
    {
        b = b[..a.Length];
        var j = 0;
        if (Vector.IsHardwareAccelerated)
        {
            var prime = new Vector<ulong>(q);
            for (; j + Vector<ulong>.Count <= a.Length; j += Vector<ulong>.Count)
                Once(new Vector<ulong>(a[j..]) + new Vector<ulong>(b[j..]), prime).CopyTo(a[j..]);
        }
        for (; j < a.Length; j++)
            a[j] = Modulus.Once(a[j] + b[j], q);
    }

    /// <summary>a -= b.</summary>
    public static void Subtract(Span<ulong> a, ReadOnlySpan<ulong> b, ulong q)
    {
        b = b[..a.Length];
        var j = 0;
        if (Vector.IsHardwareAccelerated)
        {
            var prime = new Vector<ulong>(q);
            for (; j + Vector<ulong>.Count <= a.Length; j += Vector<ulong>.Count)
                Once(new Vector<ulong>(a[j..]) + (prime - new Vector<ulong>(b[j..])), prime).CopyTo(a[j..]);
        }
        for (; j < a.Length; j++)
            a[j] = Modulus.Once(a[j] + (q - b[j]), q);
    }

    /// <summary>a = -a.</summary>
    public static void Negate(Span<ulong> a, ulong q)
    {
        foreach (ref var x in a) x = Modulus.Once(q - x, q);
    }

    /// <summary>a *= b.</summary>
    public static void Multiply(Span<ulong> a, ReadOnlySpan<ulong> b, Modulus modulus)
    {
        b = b[..a.Length];
        for (var j = 0; j < a.Length; j++)
            a[j] = modulus.Multiply(a[j], b[j]);
    }

    /// <summary>a *= w for one factor.</summary>
    public static void Scale(Span<ulong> a, ulong w, Modulus modulus)
    {
        var quotient = modulus.Quotient(w);
        foreach (ref var x in a) x = modulus.MultiplyFixed(x, w, quotient);
    }

    private static Vector<ulong> Once(Vector<ulong> x, Vector<ulong> q)
    {
        var difference = x - q;
        return difference + (q & Vector.LessThan(difference.As<ulong, long>(), Vector<long>.Zero).As<long, ulong>());
    }
}
