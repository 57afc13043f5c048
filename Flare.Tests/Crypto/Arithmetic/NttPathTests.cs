using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>Every way to compute a transform gives the scalar one's bits.</summary>
public class NttPathTests
{
    public static IEnumerable<TestCaseData> Transforms()
    {
        // The smallest degrees meet the tail alone; odd and even numbers of levels; 49 and 50 bits are swept on the way.
        foreach (var degree in new[] { 4, 8, 16, 32, 64, 128, 2048, 4096, 8192, 32768 })
            foreach (var bits in new[] { 20, 30, 42, 48, 49, 50 })
            {
                if (bits == 20 && degree > 8192)
                    continue;
                var modulus = new Modulus(PrimeSearch.NttPrimes(degree, bits)[0]);
                foreach (var path in Ntt.Paths(degree, modulus))
                    if (path != NttPath.Scalar)
                        yield return new TestCaseData(degree, modulus, path).SetArgDisplayNames($"{degree}", $"{bits}", $"{path}");
            }
    }

    [TestCaseSource(nameof(Transforms))]
    public void A_vector_path_equals_the_scalar_one(int degree, object q, object path)
    {
        var modulus = (Modulus)q;
        var vector = new Ntt(degree, modulus, (NttPath)path);
        var scalar = new Ntt(degree, modulus, NttPath.Scalar);
        foreach (var input in Inputs(degree, modulus.Value))
        {
            var (actual, expected) = (input.ToArray(), input.ToArray());
            vector.Forward(actual);
            scalar.Forward(expected);
            Assert.That(actual.AsSpan().SequenceEqual(expected), Is.True, "forward");

            (actual, expected) = (input.ToArray(), input.ToArray());
            vector.Inverse(actual);
            scalar.Inverse(expected);
            Assert.That(actual.AsSpan().SequenceEqual(expected), Is.True, "inverse");
        }
    }

    [Test]
    public void This_machines_best_path_is_chosen()
    {
        var modulus = new Modulus(PrimeSearch.NttPrimes(4096, 42)[0]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(new Ntt(4096, modulus).Path, Is.EqualTo(Ntt.Paths(4096, modulus)[0]));
            Assert.That(Ntt.Paths(4096, new Modulus(PrimeSearch.NttPrimes(4096, 51)[0])), Is.EqualTo(new[] { NttPath.Scalar }));
        }
    }

    [Test]
    public void A_path_that_cannot_compute_a_transform_refuses_it()
        => Assert.That(() => new Ntt(4096, new Modulus(PrimeSearch.NttPrimes(4096, 51)[0]), NttPath.Vector256), Throws.ArgumentException);

    /// <summary>Random residues, and those that drive lazy bounds to their ends.</summary>
    private static IEnumerable<ulong[]> Inputs(int degree, ulong q)
    {
        yield return Filled(degree, _ => q - 1);
        yield return Filled(degree, _ => q / 2);
        yield return Filled(degree, _ => (q / 2) + 1);
        yield return Filled(degree, i => i % 2 == 0 ? 0 : q - 1);
        yield return Filled(degree, i => i < degree / 2 ? q - 1 : 0);
        yield return Filled(degree, i => i == 0 ? q - 1 : 0);
        for (var seed = 0; seed < 8; seed++)
        {
            var random = new Random(seed);
            yield return Filled(degree, _ => (ulong)random.NextInt64((long)q));
        }
    }

    private static ulong[] Filled(int degree, Func<int, ulong> value) => [.. Enumerable.Range(0, degree).Select(value)];
}
