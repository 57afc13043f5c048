using System.Numerics;
using System.Runtime.CompilerServices;

namespace Flare.Crypto;

/// <summary>
/// The transform in registers of doubles, for primes below 2^50. Residues travel as signed integers in doubles, reduced
/// lazily; every operation on them is exact, so the results are those of <see cref="ScalarNtt"/>, bit for bit.
/// </summary>
/// <remarks>
/// <para>
/// The product (Dekker's, with FMA). For |y| ≤ 2^53 and a centred root |w| ≤ q/2: h = fl(yw) and l = yw - h exactly;
/// c = round(fl(y · fl(w/q))), which differs from yw/q by at most 1/2 + |y| 2^-53; so r = yw - cq = (h - cq) + l is an
/// integer with |r| ≤ q/2 + q |y| 2^-53 ≤ 3q/2, and both additions are exact because their results are integers
/// below 2^53.
/// </para>
/// <para>
/// Forward, a level takes x, y to x ± wy, so a bound Y grows to Y + q/2 + qY 2^-53; where it would pass 2^53, a sweep
/// reduces all values first (49 and 50 bits only; <see cref="_sweeps"/>). Back, a level takes x, y to x + y and
/// (x - y)w: the undisturbed sum is reduced after every two levels. If values enter a pair of levels at most 2q, then
/// sums reach 8q &lt; 2^53, products stay below 3q/2, and the sum of two products of differences (below 4q) stays
/// below 2(q/2 + 4q · q · 2^-53) ≤ 2q: the bound holds again. Residues times a factor enter below 3q/2.
/// </para>
/// <para>
/// The last levels, whose butterflies are narrower than a register, use one trick: zipping two registers turns the
/// pairs at distance t into pairs at distance t/2, lane over lane, and after log2(2 · width) zips the order is natural
/// again.
/// </para>
/// </remarks>
internal sealed unsafe class VectorNtt<TLanes, TVector> : INttKernel
    where TLanes : ILanes<TVector>
    where TVector : struct
{
    private readonly int _degree;
    private readonly Modulus _modulus;
    private readonly ulong _degreeInverse;
    private readonly double _q, _inverse;
    private readonly int _passes; // radix-4 passes; a radix-2 pass makes up for an odd number of levels
    private readonly bool _odd;
    private readonly bool[] _sweeps; // before the radix-4 pass i, and before the tail
    private readonly AlignedBuffer<double> _forward, _backward, _forwardTail, _backwardTail;
    private readonly double _scale, _scaleQuotient;

    public VectorNtt(NttTables tables)
    {
        if (!Fits(tables.Degree, tables.Modulus))
            throw new ArgumentException(
                $"This processor or modulus {tables.Modulus} is outside the vector transform's range.", nameof(tables));
        var modulus = tables.Modulus;
        (_degree, _q, _inverse) = (tables.Degree, modulus.Value, 1.0 / modulus.Value);
        (_modulus, _degreeInverse) = (modulus, tables.DegreeInverse);
        var wide = BitOperations.Log2((uint)_degree) - TailLevels;
        (_passes, _odd) = (wide / 2, wide % 2 != 0);
        _forward = Centred(tables.Roots);
        _backward = Centred(tables.InverseRoots);
        _forwardTail = Tail(_forward);
        _backwardTail = Tail(_backward);
        _scale = modulus.ToSigned(tables.DegreeInverse);
        _scaleQuotient = _scale / _q;
        _sweeps = PlanSweeps();
    }

    private static int TailLevels => BitOperations.Log2((uint)TLanes.Width) + 1;

    /// <summary>Whether this width runs here, for this degree and modulus.</summary>
    public static bool Fits(int degree, Modulus modulus)
        => TLanes.IsSupported && modulus.Bits <= 50 && degree >= 2 * TLanes.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Forward(Span<ulong> values)
    {
        fixed (ulong* residues = values)
        {
            var a = (double*)residues;
            var q = TLanes.Create(_q);
            for (var i = 0; i < _degree; i += TLanes.Width)
                TLanes.Store(TLanes.LoadResidues(residues + i), a + i);

            int m = 1, t = _degree >> 1;
            if (_odd)
            {
                Radix2Forward(a, q);
                (m, t) = (2, t >> 1);
            }

            for (var pass = 0; pass < _passes; pass++, m <<= 2, t >>= 2)
            {
                if (_sweeps[pass])
                    Sweep(a, q);
                Radix4Forward(a, m, t, q);
            }

            if (_sweeps[_passes])
                Sweep(a, q);
            TailForward(a, q);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Inverse(Span<ulong> values)
    {
        fixed (ulong* residues = values)
        {
            var a = (double*)residues;
            var q = TLanes.Create(_q);
            InverseLevels(a, null, q);
            var (scale, quotient, inverse) = (
                TLanes.Create(_scale), TLanes.Create(_scaleQuotient), TLanes.Create(_inverse));
            for (var i = 0; i < _degree; i += TLanes.Width)
                TLanes.StoreResidues(
                    Reduce(Product(TLanes.Load(a + i), scale, quotient, q), q, inverse), q, residues + i);
        }
    }

    public AlignedBuffer<ulong> Factor(ReadOnlySpan<ulong> values)
    {
        // With 1/N in it: the product as values are loaded is then the only one besides the levels' own.
        var scaled = new ulong[_degree];
        for (var i = 0; i < _degree; i++)
            scaled[i] = _modulus.Multiply(values[i], _degreeInverse);
        var factor = new AlignedBuffer<ulong>(2 * _degree);
        var centred = Centred(scaled);
        centred.Span.CopyTo(new Span<double>(factor.Pointer, 2 * _degree));
        centred.Span.Clear(); // factors are secrets
        scaled.AsSpan().Clear();
        return factor;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void InverseOfProduct(Span<ulong> values, AlignedBuffer<ulong> factor)
    {
        fixed (ulong* residues = values)
        {
            var a = (double*)residues;
            var q = TLanes.Create(_q);
            InverseLevels(a, (double*)factor.Pointer, q);
            var inverse = TLanes.Create(_inverse);
            for (var i = 0; i < _degree; i += TLanes.Width)
                TLanes.StoreResidues(Reduce(TLanes.Load(a + i), q, inverse), q, residues + i);
        }
    }

    /// <summary>From residues, times a factor if there is one, to doubles without 1/N that are below 4q.</summary>
    private void InverseLevels(double* a, double* factor, TVector q)
    {
        TailInverse(a, factor, q);
        int t = 4 * TLanes.Width, m = _degree / (2 * t);
        for (var pass = 0; pass < _passes; pass++, m >>= 2, t <<= 2)
            Radix4Inverse(a, m, t, q);
        if (_odd)
            Radix2Inverse(a, q);
    }

    /// <summary>y · w mod q, in [-3q/2, 3q/2]: see the remarks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Product(TVector y, TVector w, TVector quotient, TVector q)
    {
        var high = TLanes.Multiply(y, w);
        var low = TLanes.MultiplySubtract(y, w, high);
        var count = TLanes.Round(TLanes.Multiply(y, quotient));
        return TLanes.Add(TLanes.NegatedMultiplyAdd(count, q, high), low);
    }

    /// <summary>x mod q, in [-(q+1)/2, (q+1)/2].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Reduce(TVector x, TVector q, TVector inverse)
        => TLanes.NegatedMultiplyAdd(TLanes.Round(TLanes.Multiply(x, inverse)), q, x);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Sweep(double* a, TVector q)
    {
        var inverse = TLanes.Create(_inverse);
        for (var i = 0; i < _degree; i += TLanes.Width)
            TLanes.Store(Reduce(TLanes.Load(a + i), q, inverse), a + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Radix2Forward(double* a, TVector q)
    {
        var half = _degree >> 1;
        var w = TLanes.Create(_forward.Pointer[1]);
        var wq = TLanes.Create(_forward.Pointer[_degree + 1]);
        for (var j = 0; j < half; j += TLanes.Width)
        {
            var x = TLanes.Load(a + j);
            var v = Product(TLanes.Load(a + j + half), w, wq, q);
            TLanes.Store(TLanes.Add(x, v), a + j);
            TLanes.Store(TLanes.Subtract(x, v), a + j + half);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Radix2Inverse(double* a, TVector q)
    {
        var half = _degree >> 1;
        var w = TLanes.Create(_backward.Pointer[1]);
        var wq = TLanes.Create(_backward.Pointer[_degree + 1]);
        for (var j = 0; j < half; j += TLanes.Width)
        {
            var (x, y) = (TLanes.Load(a + j), TLanes.Load(a + j + half));
            TLanes.Store(TLanes.Add(x, y), a + j);
            TLanes.Store(Product(TLanes.Subtract(x, y), w, wq, q), a + j + half);
        }
    }

    /// <summary>The levels of m and of 2m blocks at once: distances t and t/2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Radix4Forward(double* a, int m, int t, TVector q)
    {
        double* roots = _forward.Pointer, quotients = roots + _degree;
        var h = t >> 1;
        for (var i = 0; i < m; i++)
        {
            var (k, l) = (m + i, 2 * (m + i));
            var (w1, w1q) = (TLanes.Create(roots[k]), TLanes.Create(quotients[k]));
            var (w2, w2q) = (TLanes.Create(roots[l]), TLanes.Create(quotients[l]));
            var (w3, w3q) = (TLanes.Create(roots[l + 1]), TLanes.Create(quotients[l + 1]));
            var p = a + (2L * i * t);
            for (var end = p + h; p < end; p += TLanes.Width)
            {
                var x0 = TLanes.Load(p);
                var x1 = TLanes.Load(p + h);
                var y0 = Product(TLanes.Load(p + t), w1, w1q, q);
                var y1 = Product(TLanes.Load(p + t + h), w1, w1q, q);
                var (u0, u1) = (TLanes.Add(x0, y0), Product(TLanes.Add(x1, y1), w2, w2q, q));
                var (v0, v1) = (TLanes.Subtract(x0, y0), Product(TLanes.Subtract(x1, y1), w3, w3q, q));
                TLanes.Store(TLanes.Add(u0, u1), p);
                TLanes.Store(TLanes.Subtract(u0, u1), p + h);
                TLanes.Store(TLanes.Add(v0, v1), p + t);
                TLanes.Store(TLanes.Subtract(v0, v1), p + t + h);
            }
        }
    }

    /// <summary>The inverse of <see cref="Radix4Forward"/>: distances t/2 and t, 2m and m blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Radix4Inverse(double* a, int m, int t, TVector q)
    {
        double* roots = _backward.Pointer, quotients = roots + _degree;
        var inverse = TLanes.Create(_inverse);
        var h = t >> 1;
        for (var i = 0; i < m; i++)
        {
            var (k, l) = (m + i, 2 * (m + i));
            var (w1, w1q) = (TLanes.Create(roots[k]), TLanes.Create(quotients[k]));
            var (w2, w2q) = (TLanes.Create(roots[l]), TLanes.Create(quotients[l]));
            var (w3, w3q) = (TLanes.Create(roots[l + 1]), TLanes.Create(quotients[l + 1]));
            var p = a + (2L * i * t);
            for (var end = p + h; p < end; p += TLanes.Width)
            {
                var (x0, x1) = (TLanes.Load(p), TLanes.Load(p + h));
                var (y0, y1) = (TLanes.Load(p + t), TLanes.Load(p + t + h));
                var (u0, u1) = (TLanes.Add(x0, x1), Product(TLanes.Subtract(x0, x1), w2, w2q, q));
                var (v0, v1) = (TLanes.Add(y0, y1), Product(TLanes.Subtract(y0, y1), w3, w3q, q));
                TLanes.Store(Reduce(TLanes.Add(u0, v0), q, inverse), p);
                TLanes.Store(TLanes.Add(u1, v1), p + h);
                TLanes.Store(Product(TLanes.Subtract(u0, v0), w1, w1q, q), p + t);
                TLanes.Store(Product(TLanes.Subtract(u1, v1), w1, w1q, q), p + t + h);
            }
        }
    }

    /// <summary>The levels of distance width … 1, two registers at a time, and the final reduction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TailForward(double* a, TVector q)
    {
        var inverse = TLanes.Create(_inverse);
        var width = TLanes.Width;
        var root = _forwardTail.Pointer;
        for (var i = 0; i < _degree; i += 2 * width, root += 2 * width * TailLevels)
        {
            var (x, y) = (TLanes.Load(a + i), TLanes.Load(a + i + width));
            (x, y) = Butterfly(x, y, root, q);
            (x, y) = TLanes.Zip(x, y);
            (x, y) = Butterfly(x, y, root + (2 * width), q);
            if (width >= 4)
            {
                (x, y) = TLanes.Zip(x, y);
                (x, y) = Butterfly(x, y, root + (4 * width), q);
            }

            if (width >= 8)
            {
                (x, y) = TLanes.Zip(x, y);
                (x, y) = Butterfly(x, y, root + (6 * width), q);
            }

            (x, y) = TLanes.Zip(x, y);
            TLanes.StoreResidues(Reduce(x, q, inverse), q, (ulong*)a + i);
            TLanes.StoreResidues(Reduce(y, q, inverse), q, (ulong*)a + i + width);
        }
    }

    /// <summary>
    /// The inverse of <see cref="TailForward"/>, from residues, times a factor or not: distances 1 … width.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TailInverse(double* a, double* factor, TVector q)
    {
        var inverse = TLanes.Create(_inverse);
        var width = TLanes.Width;
        var root = _backwardTail.Pointer;
        for (var i = 0; i < _degree; i += 2 * width, root += 2 * width * TailLevels)
        {
            var (x, y) = (TLanes.LoadResidues((ulong*)a + i), TLanes.LoadResidues((ulong*)a + i + width));
            if (factor != null)
            {
                var w = factor + i;
                x = Product(x, TLanes.Load(w), TLanes.Load(w + _degree), q);
                y = Product(y, TLanes.Load(w + width), TLanes.Load(w + _degree + width), q);
            }

            if (width >= 8)
            {
                (x, y) = TLanes.Unzip(x, y);
                (x, y) = InverseButterfly(x, y, root + (6 * width), q);
            }

            if (width >= 4)
            {
                (x, y) = TLanes.Unzip(x, y);
                (x, y) = InverseButterfly(x, y, root + (4 * width), q);
                x = Reduce(x, q, inverse);
            }

            (x, y) = TLanes.Unzip(x, y);
            (x, y) = InverseButterfly(x, y, root + (2 * width), q);
            (x, y) = TLanes.Unzip(x, y);
            (x, y) = InverseButterfly(x, y, root, q);
            TLanes.Store(Reduce(x, q, inverse), a + i);
            TLanes.Store(y, a + i + width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (TVector X, TVector Y) Butterfly(TVector x, TVector y, double* root, TVector q)
    {
        var v = Product(y, TLanes.Load(root), TLanes.Load(root + TLanes.Width), q);
        return (TLanes.Add(x, v), TLanes.Subtract(x, v));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (TVector X, TVector Y) InverseButterfly(TVector x, TVector y, double* root, TVector q)
        => (TLanes.Add(x, y), Product(TLanes.Subtract(x, y), TLanes.Load(root), TLanes.Load(root + TLanes.Width), q));

    /// <summary>The roots as centred doubles w, followed by their w/q.</summary>
    private AlignedBuffer<double> Centred(ulong[] roots)
    {
        var buffer = new AlignedBuffer<double>(2 * _degree);
        for (var i = 0; i < _degree; i++)
        {
            buffer.Span[i] = roots[i] > _q / 2 ? roots[i] - _q : roots[i];
            buffer.Span[_degree + i] = buffer.Span[i] / _q;
        }

        return buffer;
    }

    /// <summary>
    /// For every two registers and each of their levels: a register of w in the lanes' order, and one of w/q.
    /// </summary>
    private AlignedBuffer<double> Tail(AlignedBuffer<double> roots)
    {
        var width = TLanes.Width;
        var groups = _degree / (2 * width);
        var buffer = new AlignedBuffer<double>(groups * 2 * width * TailLevels);
        var next = 0;
        for (var group = 0; group < groups; group++)
            for (var level = 0; level < TailLevels; level++)
            {
                // At this level the two registers hold 2^level blocks, and lane k belongs to block k mod 2^level.
                var blocks = 1 << level;
                for (var part = 0; part < 2; part++)
                    for (var lane = 0; lane < width; lane++)
                    {
                        var index = (groups * blocks) + (group * blocks) + (lane & (blocks - 1));
                        buffer.Span[next++] = roots.Span[(part * _degree) + index];
                    }
            }

        return buffer;
    }

    /// <summary>Follows the forward bound through the passes: see the remarks.</summary>
    private bool[] PlanSweeps()
    {
        var sweeps = new bool[_passes + 1];
        var bound = Grown(_q, _odd ? 1 : 0);
        for (var pass = 0; pass <= _passes; pass++)
        {
            var levels = pass == _passes ? TailLevels : 2;
            sweeps[pass] = Grown(bound, levels) > (1L << 53) - 64;
            bound = Grown(sweeps[pass] ? (_q + 1) / 2 : bound, levels);
        }

        return sweeps;
    }

    private double Grown(double bound, int levels)
    {
        for (; levels > 0; levels--)
            bound += (_q / 2) + (_q * bound / (1L << 53)) + 1;
        return bound;
    }
}
