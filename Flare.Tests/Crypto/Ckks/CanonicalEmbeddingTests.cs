using System.Numerics;
using Flare.Crypto;

namespace Flare.Tests.Crypto.Ckks;

public class CanonicalEmbeddingTests
{
    [Test]
    public void Slot_i_is_the_polynomial_at_zeta_to_the_3_to_the_i()
    {
        const int N = 1024;
        var random = new Random(1);
        var coefficients = Enumerable.Range(0, N).Select(_ => random.NextDouble() - 0.5).ToArray();
        var work = (double[])coefficients.Clone();
        var embedding = CanonicalEmbedding.For(N);
        embedding.ToSlots(work, 2);

        for (int i = 0, power = 1; i < N / 2; i++, power = power * 3 % (2 * N))
        {
            var expected = Complex.Zero;
            for (var j = 0; j < N; j++)
            {
                var (sin, cos) = double.SinCosPi((double)((long)j * power % (2 * N)) / N);
                expected += coefficients[j] / 2 * new Complex(cos, sin);
            }
            var place = embedding.Places[i];
            var actual = new Complex(work[place], i % 2 == 0 ? work[place + N / 2] : -work[place + N / 2]);
            Assert.That((actual - expected).Magnitude, Is.LessThan(1e-12), $"slot {i}");
        }
    }

    [TestCase(1024)]
    [TestCase(8192)]
    [TestCase(32768)]
    public void Coefficients_come_back_from_slots(int degree)
    {
        var random = new Random(2);
        var slots = Enumerable.Range(0, degree).Select(_ => random.NextDouble() - 0.5).ToArray();
        var work = (double[])slots.Clone();
        var embedding = CanonicalEmbedding.For(degree);
        embedding.ToCoefficients(work, 1 << 20);
        embedding.ToSlots(work, 1 << 20);
        Assert.That(work.Zip(slots, (a, b) => Math.Abs(a - b)).Max(), Is.LessThan(1e-13));
    }

    [Test]
    public void Every_path_gives_the_same_bits()
    {
        const int N = 8192;
        var random = new Random(4);
        var values = Enumerable.Range(0, N).Select(_ => random.NextDouble() - 0.5).ToArray();
        var (there, back) = Run(KernelPath.Portable);
        foreach (var path in new[] { KernelPath.Vector256, KernelPath.Vector512 })
        {
            if (path == KernelPath.Vector512 && !System.Runtime.Intrinsics.X86.Avx512F.IsSupported) continue;
            var other = Run(path);
            Assert.That(other.There, Is.EqualTo(there), $"{path}");
            Assert.That(other.Back, Is.EqualTo(back), $"{path}");
        }

        (double[] There, double[] Back) Run(KernelPath path)
        {
            var embedding = new CanonicalEmbedding(N, path);
            var coefficients = (double[])values.Clone();
            embedding.ToCoefficients(coefficients, Math.ScaleB(1, 40));
            var slots = (double[])values.Clone();
            embedding.ToSlots(slots, 3);
            return (coefficients, slots);
        }
    }
}
