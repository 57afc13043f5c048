using System.Runtime.CompilerServices;

namespace Flare.Crypto;

/// <summary>
/// The portable transform: one butterfly at a time in 64-bit words, for every prime below 2^61. It is the reference
/// that the vector kernels must equal bit for bit.
/// </summary>
/// <remarks>
/// Harvey's lazy butterflies: going forward words stay in [0, 4q), going back in [0, 2q), and only the last pass
/// reduces. Corrections are masks, not branches: data decides nothing that a clock or a branch predictor could see.
/// </remarks>
internal sealed unsafe class ScalarNtt : INttKernel
{
    private readonly int _degree;
    private readonly Modulus _modulus;
    private readonly ulong _q;
    private readonly ulong[] _roots, _quotients, _inverseRoots, _inverseQuotients;
    private readonly ulong _scale, _scaleQuotient, _scaledRoot, _scaledRootQuotient;

    public ScalarNtt(NttTables tables)
    {
        var modulus = tables.Modulus;
        (_degree, _modulus, _q) = (tables.Degree, modulus, modulus.Value);
        (_roots, _inverseRoots) = (tables.Roots, tables.InverseRoots);
        _quotients = Array.ConvertAll(_roots, modulus.Quotient);
        _inverseQuotients = Array.ConvertAll(_inverseRoots, modulus.Quotient);

        // 1/N is folded into the last stage back, whose one root is InverseRoots[1].
        _scale = tables.DegreeInverse;
        _scaleQuotient = modulus.Quotient(_scale);
        _scaledRoot = modulus.Multiply(_scale, _inverseRoots[1]);
        _scaledRootQuotient = modulus.Quotient(_scaledRoot);
    }

    public void Forward(Span<ulong> values)
    {
        var (q, q2) = (_q, 2 * _q);
        fixed (ulong* a = values, roots = _roots, quotients = _quotients)
        {
            for (int m = 1, t = _degree >> 1; m < _degree; m <<= 1, t >>= 1)
                for (var i = 0; i < m; i++)
                {
                    var (w, wq) = (roots[m + i], quotients[m + i]);
                    var x = a + (2L * i * t);
                    for (var end = x + t; x < end; x++)
                    {
                        var u = Modulus.Once(x[0], q2);
                        var v = LazyProduct(x[t], w, wq, q);
                        x[0] = u + v;
                        x[t] = u + q2 - v;
                    }
                }

            for (var i = 0; i < _degree; i++)
                a[i] = Modulus.Once(Modulus.Once(a[i], q2), q);
        }
    }

    public void Inverse(Span<ulong> values)
    {
        var (q, q2) = (_q, 2 * _q);
        fixed (ulong* a = values, roots = _inverseRoots, quotients = _inverseQuotients)
        {
            for (int m = _degree >> 1, t = 1; m > 1; m >>= 1, t <<= 1)
                for (var i = 0; i < m; i++)
                {
                    var (w, wq) = (roots[m + i], quotients[m + i]);
                    var x = a + (2L * i * t);
                    for (var end = x + t; x < end; x++)
                    {
                        var (u, v) = (x[0], x[t]);
                        x[0] = Modulus.Once(u + v, q2);
                        x[t] = LazyProduct(u + q2 - v, w, wq, q);
                    }
                }

            var half = _degree >> 1;
            for (var i = 0; i < half; i++)
            {
                var (u, v) = (a[i], a[i + half]);
                a[i] = Modulus.Once(LazyProduct(u + v, _scale, _scaleQuotient, q), q);
                a[i + half] = Modulus.Once(LazyProduct(u + q2 - v, _scaledRoot, _scaledRootQuotient, q), q);
            }
        }
    }

    public AlignedBuffer<ulong> Factor(ReadOnlySpan<ulong> values)
    {
        var factor = new AlignedBuffer<ulong>(2 * _degree);
        for (var i = 0; i < _degree; i++)
            (factor.Span[i], factor.Span[_degree + i]) = (values[i], _modulus.Quotient(values[i]));
        return factor;
    }

    public void InverseOfProduct(Span<ulong> values, AlignedBuffer<ulong> factor)
    {
        ReadOnlySpan<ulong> factors = factor.Span[.._degree], quotients = factor.Span[_degree..];
        for (var i = 0; i < values.Length; i++)
            values[i] = _modulus.MultiplyFixed(values[i], factors[i], quotients[i]);
        Inverse(values);
    }

    /// <summary>x · w mod q up to one q: in [0, 2q) for any x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong LazyProduct(ulong x, ulong w, ulong quotient, ulong q)
        => (x * w) - (Modulus.HighProduct(x, quotient) * q);
}
