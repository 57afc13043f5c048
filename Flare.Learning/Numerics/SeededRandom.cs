using System.Numerics;

namespace Flare.Learning;

/// <summary>
/// xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64: the same numbers for a seed on every platform and in
/// every version of Flare, which System.Random does not promise.
/// </summary>
internal sealed class SeededRandom
{
    private ulong _a, _b, _c, _d;

    /// <summary>Starts a stream. Streams of one seed that differ in purpose do not overlap in practice.</summary>
    public SeededRandom(long seed, ulong stream = 0) => Reseed(seed, stream);

    /// <summary>Starts another stream in place.</summary>
    public void Reseed(long seed, ulong stream)
    {
        var state = unchecked((ulong)seed) ^ BitOperations.RotateLeft(stream * 0x9E3779B97F4A7C15, 32);
        (_a, _b, _c, _d) = (SplitMix(ref state), SplitMix(ref state), SplitMix(ref state), SplitMix(ref state));
    }

    public ulong NextUInt64()
    {
        var result = BitOperations.RotateLeft(_b * 5, 7) * 9;
        var t = _b << 17;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= t;
        _d = BitOperations.RotateLeft(_d, 45);
        return result;
    }

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [0, bound), without bias (Lemire 2019).</summary>
    public int Next(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        var range = (uint)bound;
        var product = (NextUInt64() >> 32) * range;
        if ((uint)product < range)
        {
            var threshold = unchecked(0u - range) % range;
            while ((uint)product < threshold) product = (NextUInt64() >> 32) * range;
        }
        return (int)(product >> 32);
    }

    /// <summary>Standard normal (Marsaglia's polar method).</summary>
    public double NextNormal()
    {
        while (true)
        {
            double u = 2 * NextDouble() - 1, v = 2 * NextDouble() - 1, s = u * u + v * v;
            if (s is > 0 and < 1) return u * Math.Sqrt(-2 * Elementary.Log(s) / s);
        }
    }

    /// <summary>The logarithm of a gamma variate of scale 1 (Marsaglia and Tsang 2000): it does not underflow for tiny shapes.</summary>
    public double NextLogGamma(double shape)
    {
        // Gamma(a) = Gamma(a + 1) · U^(1/a) for a < 1.
        if (shape < 1) return NextLogGamma(shape + 1) + Elementary.Log(1 - NextDouble()) / shape;
        double d = shape - 1.0 / 3, c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double x = NextNormal(), v = 1 + c * x;
            if (v <= 0) continue;
            v = v * v * v;
            var logV = Elementary.Log(v);
            if (Elementary.Log(1 - NextDouble()) < 0.5 * x * x + d - d * v + d * logV) return Elementary.Log(d) + logV;
        }
    }

    /// <summary>Fisher–Yates.</summary>
    public void Shuffle(Span<int> items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = Next(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    private static ulong SplitMix(ref ulong state)
    {
        var z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
