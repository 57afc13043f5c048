using System.Numerics;

namespace Flare;

/// <summary>
/// Random numbers from a seed: xoshiro256** (Blackman and Vigna 2018), seeded through <see cref="SplitMix64"/>. Frozen:
/// the same numbers for a seed on every platform and in every version of Flare, which <see cref="Random"/> does not
/// promise.
/// <para>For sampling, shuffling, initial weights. Not for secrets, nor for noise that is to hide something: who knows
/// the seed knows every number, and the job's server knows the job's seed. Take
/// <see cref="System.Security.Cryptography.RandomNumberGenerator"/> there.</para>
/// Not thread-safe.
/// </summary>
public sealed class SeededRandom
{
    private ulong _a, _b, _c, _d;

    /// <summary>Starts a stream of numbers.</summary>
    /// <param name="seed">Any number, such as that of <see cref="FLContext.Seed"/>.</param>
    /// <param name="stream">Tells several uses of one seed apart: their numbers do not overlap in practice.</param>
    public SeededRandom(ulong seed, ulong stream = 0) => Reseed(seed, stream);

    /// <summary>Starts another stream in place.</summary>
    /// <param name="seed">Any number.</param>
    /// <param name="stream">Tells several uses of one seed apart.</param>
    public void Reseed(ulong seed, ulong stream)
    {
        var state = seed ^ BitOperations.RotateLeft(unchecked(stream * 0x9E3779B97F4A7C15UL), 32);
        _a = SplitMix64.Next(ref state);
        _b = SplitMix64.Next(ref state);
        _c = SplitMix64.Next(ref state);
        _d = SplitMix64.Next(ref state);
    }

    /// <summary>The next 64 bits.</summary>
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

    /// <summary>Uniform in [0, <paramref name="bound"/>), without bias (Lemire 2019).</summary>
    /// <param name="bound">At least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The bound is below 1.</exception>
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

    /// <summary>
    /// The logarithm of a gamma variate of scale 1 (Marsaglia and Tsang 2000): it does not underflow for tiny shapes.
    /// </summary>
    /// <param name="shape">Above 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The shape is not above 0.</exception>
    public double NextLogGamma(double shape)
    {
        if (!(shape > 0)) throw new ArgumentOutOfRangeException(nameof(shape), shape, "A gamma's shape is above 0.");
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

    /// <summary>Puts items into random order, each order as likely (Fisher and Yates).</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = Next(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }
}
