using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Flare.Crypto;

/// <summary>
/// The map between N/2 complex slots and N real coefficients: slot i is m(ζ^(3^i)), ζ = e^(iπ/N), as in SEAL.
/// </summary>
/// <remarks>
/// Of each conjugate pair of roots one has an exponent 4k + 1; with n = N/2, ζ^((4k+1)n) = i for all of these, so
/// m(ζ^(4k+1)) = Σ_j (m_j + i·m_(j+n))·ζ^j·ω^(jk) with ω = e^(2πi/n): a twist and an ordinary transform of n complex
/// numbers, half of what the N-point transform costs. The order of slots absorbs the bit reversal. Multiplications and
/// additions stay separate (no fused ones), so that every path gives the same bits.
/// </remarks>
internal sealed class CanonicalEmbedding
{
    // 1024 points take 16 KiB, so that a block's remaining stages stay in the first-level cache.
    private const int Block = 1024;
    private const double HalfRoot = 0.70710678118654752440;

    private static readonly ConcurrentDictionary<int, CanonicalEmbedding> Cache = new();

    private readonly int _n;
    private readonly double[] _cos, _sin;           // [h + j]: e^(iπj/h) for the stage of half-length h
    private readonly double[] _twistCos, _twistSin; // e^(iπj/N)
    private readonly int[] _place;                  // slot -> index in bit-reversed order; odd slots are conjugated
    private readonly KernelPath _path;

    /// <summary>Builds the tables; <paramref name="path"/> is forced only by tests.</summary>
    public CanonicalEmbedding(int degree, KernelPath path = KernelPath.Best)
    {
        _path = path != KernelPath.Best ? path
            : Avx512F.IsSupported ? KernelPath.Vector512
            : Vector.IsHardwareAccelerated ? KernelPath.Vector256
            : KernelPath.Portable;
        _n = degree / 2;
        (_cos, _sin) = (new double[_n], new double[_n]);
        for (var h = 1; h < _n; h *= 2)
            for (var j = 0; j < h; j++)
                (_sin[h + j], _cos[h + j]) = 2 * j == h ? (1, 0) : double.SinCosPi((double)j / h);
        (_twistCos, _twistSin) = (new double[_n], new double[_n]);
        for (var j = 0; j < _n; j++)
            (_twistSin[j], _twistCos[j]) = double.SinCosPi((double)j / degree);

        _place = new int[_n];
        var shift = 32 - BitOperations.Log2((uint)_n);
        for (int i = 0, power = 1; i < _n; i++, power = power * 3 % (2 * degree))
        {
            var exponent = power % 4 == 1 ? power : 2 * degree - power;
            _place[i] = (int)(ReverseBits((uint)exponent / 4) >> shift);
        }
    }

    /// <summary>The shared tables of this degree.</summary>
    public static CanonicalEmbedding For(int degree) => Cache.GetOrAdd(degree, d => new CanonicalEmbedding(d));

    /// <summary>Where slot i stands in the coefficient buffer before <see cref="ToCoefficients"/>.</summary>
    public ReadOnlySpan<int> Places => _place;

    /// <summary>
    /// Slots to coefficients in place. In: real parts in the first half of <paramref name="a"/>, imaginary parts in the
    /// second, slot i at Places[i], odd slots conjugated. Out: the N coefficients, times <paramref name="scale"/>.
    /// </summary>
    public unsafe void ToCoefficients(Span<double> a, double scale)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Length, 2 * _n, nameof(a));
        fixed (double* re = a, cos = _cos, sin = _sin)
        {
            var im = re + _n;
            var block = Math.Min(Block, _n);
            for (var start = 0; start < _n; start += block)
            {
                Gather8(re + start, im + start, block);
                for (var h = 8; h < block; h *= 2)
                    Gather(re + start, im + start, block, h, cos + h, sin + h);
            }
            for (var h = block; h < _n; h *= 2)
                Gather(re, im, _n, h, cos + h, sin + h);
        }
        Twist(a[.._n], a[_n..], scale / _n, -1);
    }

    /// <summary>Coefficients to slots in place: undoes <see cref="ToCoefficients"/> with the same scale.</summary>
    public unsafe void ToSlots(Span<double> a, double scale)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Length, 2 * _n, nameof(a));
        Twist(a[.._n], a[_n..], 1 / scale, 1);
        fixed (double* re = a, cos = _cos, sin = _sin)
        {
            var im = re + _n;
            var block = Math.Min(Block, _n);
            for (var h = _n / 2; h >= block; h /= 2)
                Scatter(re, im, _n, h, cos + h, sin + h);
            for (var start = 0; start < _n; start += block)
            {
                for (var h = block / 2; h >= 8; h /= 2)
                    Scatter(re + start, im + start, block, h, cos + h, sin + h);
                Scatter8(re + start, im + start, block);
            }
        }
    }

    // Times fix·e^(±iπj/N). A product by ±1 is exact, so that it costs no accuracy.
    private void Twist(Span<double> x, Span<double> y, double fix, double sign)
    {
        var j = 0;
        if (_path != KernelPath.Portable)
        {
            var (vfix, vsign) = (new Vector<double>(fix), new Vector<double>(sign));
            for (; j < x.Length; j += Vector<double>.Count)
            {
                var (vx, vy) = (new Vector<double>(x[j..]) * vfix, new Vector<double>(y[j..]) * vfix);
                var (c, s) = (new Vector<double>(_twistCos, j), new Vector<double>(_twistSin, j) * vsign);
                (vx * c - vy * s).CopyTo(x[j..]);
                (vy * c + vx * s).CopyTo(y[j..]);
            }
        }
        for (; j < x.Length; j++)
        {
            var (vx, vy) = (x[j] * fix, y[j] * fix);
            var (c, s) = (_twistCos[j], _twistSin[j] * sign);
            x[j] = vx * c - vy * s;
            y[j] = vy * c + vx * s;
        }
    }

    // One stage with decimation in time and inverse roots: (u, v) -> (u + v/w, u - v/w).
    private unsafe void Gather(double* re, double* im, int count, int h, double* cos, double* sin)
    {
        for (var x = re; x < re + count; x += 2 * h)
        {
            var y = x + (im - re);
            var j = 0;
            if (_path == KernelPath.Vector512)
            {
                for (; j < h; j += Vector512<double>.Count)
                {
                    var (c, s) = (Vector512.Load(cos + j), Vector512.Load(sin + j));
                    var (vx, vy) = (Vector512.Load(x + h + j), Vector512.Load(y + h + j));
                    var (ux, uy) = (Vector512.Load(x + j), Vector512.Load(y + j));
                    var (tx, ty) = (vx * c + vy * s, vy * c - vx * s);
                    (ux + tx).Store(x + j);
                    (uy + ty).Store(y + j);
                    (ux - tx).Store(x + h + j);
                    (uy - ty).Store(y + h + j);
                }
            }
            else if (_path == KernelPath.Vector256)
            {
                for (; j < h; j += Vector<double>.Count)
                {
                    var (c, s) = (Vector.Load(cos + j), Vector.Load(sin + j));
                    var (vx, vy) = (Vector.Load(x + h + j), Vector.Load(y + h + j));
                    var (ux, uy) = (Vector.Load(x + j), Vector.Load(y + j));
                    var (tx, ty) = (vx * c + vy * s, vy * c - vx * s);
                    (ux + tx).Store(x + j);
                    (uy + ty).Store(y + j);
                    (ux - tx).Store(x + h + j);
                    (uy - ty).Store(y + h + j);
                }
            }
            for (; j < h; j++)
            {
                var (vx, vy) = (x[h + j], y[h + j]);
                var (tx, ty) = (vx * cos[j] + vy * sin[j], vy * cos[j] - vx * sin[j]);
                (x[j], x[h + j]) = (x[j] + tx, x[j] - tx);
                (y[j], y[h + j]) = (y[j] + ty, y[j] - ty);
            }
        }
    }

    // One stage with decimation in frequency: (u, v) -> (u + v, (u - v)·w).
    private unsafe void Scatter(double* re, double* im, int count, int h, double* cos, double* sin)
    {
        for (var x = re; x < re + count; x += 2 * h)
        {
            var y = x + (im - re);
            var j = 0;
            if (_path == KernelPath.Vector512)
            {
                for (; j < h; j += Vector512<double>.Count)
                {
                    var (c, s) = (Vector512.Load(cos + j), Vector512.Load(sin + j));
                    var (vx, vy) = (Vector512.Load(x + h + j), Vector512.Load(y + h + j));
                    var (ux, uy) = (Vector512.Load(x + j), Vector512.Load(y + j));
                    var (dx, dy) = (ux - vx, uy - vy);
                    (ux + vx).Store(x + j);
                    (uy + vy).Store(y + j);
                    (dx * c - dy * s).Store(x + h + j);
                    (dy * c + dx * s).Store(y + h + j);
                }
            }
            else if (_path == KernelPath.Vector256)
            {
                for (; j < h; j += Vector<double>.Count)
                {
                    var (c, s) = (Vector.Load(cos + j), Vector.Load(sin + j));
                    var (vx, vy) = (Vector.Load(x + h + j), Vector.Load(y + h + j));
                    var (ux, uy) = (Vector.Load(x + j), Vector.Load(y + j));
                    var (dx, dy) = (ux - vx, uy - vy);
                    (ux + vx).Store(x + j);
                    (uy + vy).Store(y + j);
                    (dx * c - dy * s).Store(x + h + j);
                    (dy * c + dx * s).Store(y + h + j);
                }
            }
            for (; j < h; j++)
            {
                var (dx, dy) = (x[j] - x[h + j], y[j] - y[h + j]);
                x[j] += x[h + j];
                y[j] += y[h + j];
                x[h + j] = dx * cos[j] - dy * sin[j];
                y[h + j] = dy * cos[j] + dx * sin[j];
            }
        }
    }

    // The stages of half-lengths 1, 2 and 4 at once, on eight points held in locals.
    private static unsafe void Gather8(double* re, double* im, int count)
    {
        for (var end = re + count; re < end; re += 8, im += 8)
        {
            var (ax, bx, cx, dx) = (re[0] + re[1], re[0] - re[1], re[2] + re[3], re[2] - re[3]);
            var (ay, by, cy, dy) = (im[0] + im[1], im[0] - im[1], im[2] + im[3], im[2] - im[3]);
            var (ex, fx, gx, hx) = (re[4] + re[5], re[4] - re[5], re[6] + re[7], re[6] - re[7]);
            var (ey, fy, gy, hy) = (im[4] + im[5], im[4] - im[5], im[6] + im[7], im[6] - im[7]);
            // v / i = (y, -x)
            (ax, cx, bx, dx) = (ax + cx, ax - cx, bx + dy, bx - dy);
            (ay, cy, by, dy) = (ay + cy, ay - cy, by - (re[2] - re[3]), by + (re[2] - re[3]));
            (ex, gx, fx, hx) = (ex + gx, ex - gx, fx + hy, fx - hy);
            (ey, gy, fy, hy) = (ey + gy, ey - gy, fy - (re[6] - re[7]), fy + (re[6] - re[7]));
            var (px, py) = ((fx + fy) * HalfRoot, (fy - fx) * HalfRoot);
            var (qx, qy) = ((hy - hx) * HalfRoot, (-hx - hy) * HalfRoot);
            (re[0], re[4]) = (ax + ex, ax - ex);
            (im[0], im[4]) = (ay + ey, ay - ey);
            (re[1], re[5]) = (bx + px, bx - px);
            (im[1], im[5]) = (by + py, by - py);
            (re[2], re[6]) = (cx + gy, cx - gy);
            (im[2], im[6]) = (cy - gx, cy + gx);
            (re[3], re[7]) = (dx + qx, dx - qx);
            (im[3], im[7]) = (dy + qy, dy - qy);
        }
    }

    private static unsafe void Scatter8(double* re, double* im, int count)
    {
        for (var end = re + count; re < end; re += 8, im += 8)
        {
            var (ax, ex) = (re[0] + re[4], re[0] - re[4]);
            var (ay, ey) = (im[0] + im[4], im[0] - im[4]);
            var (bx, px) = (re[1] + re[5], re[1] - re[5]);
            var (by, py) = (im[1] + im[5], im[1] - im[5]);
            var (cx, gy) = (re[2] + re[6], re[2] - re[6]);
            var (cy, gx) = (im[2] + im[6], im[6] - im[2]);   // times i: (-y, x)
            var (dx, qx) = (re[3] + re[7], re[3] - re[7]);
            var (dy, qy) = (im[3] + im[7], im[3] - im[7]);
            var (fx, fy) = ((px - py) * HalfRoot, (py + px) * HalfRoot);
            var (hx, hy) = ((-qx - qy) * HalfRoot, (qx - qy) * HalfRoot);
            (ax, cx, var bi, bx) = (ax + cx, ax - cx, bx - dx, bx + dx);
            (ay, cy, var br, by) = (ay + cy, ay - cy, dy - by, by + dy);
            (ex, gx, var fi, fx) = (ex + gx, ex - gx, fx - hx, fx + hx);
            (ey, gy, var fr, fy) = (ey + gy, ey - gy, hy - fy, fy + hy);
            (re[0], re[1], re[2], re[3]) = (ax + bx, ax - bx, cx + br, cx - br);
            (im[0], im[1], im[2], im[3]) = (ay + by, ay - by, cy + bi, cy - bi);
            (re[4], re[5], re[6], re[7]) = (ex + fx, ex - fx, gx + fr, gx - fr);
            (im[4], im[5], im[6], im[7]) = (ey + fy, ey - fy, gy + fi, gy - fi);
        }
    }

    private static uint ReverseBits(uint x)
    {
        var reversed = 0u;
        for (var i = 0; i < 32; i++, x >>= 1)
            reversed = reversed << 1 | (x & 1);
        return reversed;
    }
}
