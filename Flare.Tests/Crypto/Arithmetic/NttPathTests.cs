using Flare.Crypto;

namespace Flare.Tests.Crypto;

/// <summary>Every way to compute a transform gives the scalar one's bits.</summary>
public class NttPathTests
{
    // The smallest degrees meet the narrow levels alone; odd and even numbers of levels; 49 and 50 bits are swept on
    // the way.
    [Test]
    public void Small_vector_transforms_equal_the_scalar_one([Values(4, 8, 16, 32, 64, 128)]
    int degree, [Values(20, 42, 48, 50)] int bits)
        => CompareAllPaths(degree, bits);

    [TestCase(2048, 48)]
    [TestCase(2048, 50)]
    [TestCase(4096, 42)]
    [TestCase(4096, 50)]
    [TestCase(8192, 49)]
    [TestCase(8192, 50)]
    [TestCase(16384, 50)]
    public void Large_vector_transforms_equal_the_scalar_one(int degree, int bits) => CompareAllPaths(degree, bits);

    [Test]
    public void Values_that_would_outgrow_a_double_are_reduced_on_the_way()
    {
        // Every level adds nearly q/2 to the first value, which unreduced would end at an odd number above 2^53. At
        // level l its partner is the coefficient y at N/2^l, alone in its subtree, times w = ψ^(N/2^l). Near q/2 the
        // vector product may come out as the negative representative instead: only such y are taken for which it does
        // not.
        const int degree = 32768, levels = 15;
        var modulus = new Modulus(PrimeSearch.NttPrimes(degree, 50)[0]);
        var (q, root) = (modulus.Value, PrimeSearch.MinimalRoot(degree, modulus));
        var input = new ulong[degree];
        var unreduced = input[0] = q - 1;
        for (var level = 1; level <= levels; level++)
        {
            var w = modulus.Power(root, (ulong)(degree >> level));
            var centred = (double)modulus.ToSigned(w);
            for (var product = q / 2; ; product--)
            {
                var y = modulus.Multiply(product, modulus.Inverse(w));
                var quotient = (long)Math.Round(y * (centred / q));
                if (((Int128)y * (long)centred) - ((Int128)quotient * q) != product
                    || (level == levels && (unreduced + product) % 2 == 0))
                    continue;
                input[degree >> level] = y;
                unreduced += product;
                break;
            }
        }

        Assert.That(unreduced, Is.GreaterThan(1ul << 53).And.Matches<ulong>(x => x % 2 == 1));
        foreach (var path in Ntt.Paths(degree, modulus))
        {
            var values = input.ToArray();
            new Ntt(degree, modulus, path).Forward(values);
            Assert.That(values[0], Is.EqualTo(unreduced % modulus.Value), $"{path}");
        }
    }

    [Test]
    public void This_machines_best_path_is_chosen()
    {
        var modulus = new Modulus(PrimeSearch.NttPrimes(4096, 42)[0]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(new Ntt(4096, modulus).Path, Is.EqualTo(Ntt.Paths(4096, modulus)[0]));
            Assert.That(
                Ntt.Paths(4096, new Modulus(PrimeSearch.NttPrimes(4096, 51)[0])), Is.EqualTo(new[] { NttPath.Scalar }));
        }
    }

    [Test]
    public void A_path_that_cannot_compute_a_transform_refuses_it()
        => Assert.That(
            () => new Ntt(4096, new Modulus(PrimeSearch.NttPrimes(4096, 51)[0]), NttPath.Vector256),
            Throws.ArgumentException);

    private static void CompareAllPaths(int degree, int bits)
    {
        var modulus = new Modulus(PrimeSearch.NttPrimes(degree, bits)[0]);
        var scalar = new Ntt(degree, modulus, NttPath.Scalar);
        var factor = Filled(
            degree, i => i % 3 == 0 ? modulus.Value - 1 - (ulong)i : (modulus.Value / 2) + (ulong)i % 2);
        var inputs = Inputs(degree, modulus.Value).Select(input =>
        {
            var (forward, inverse) = (input.ToArray(), input.ToArray());
            scalar.Forward(forward);
            scalar.Inverse(inverse);
            var product = input.Zip(factor, modulus.Multiply).ToArray();
            scalar.Inverse(product);
            return (Input: input, Forward: forward, Inverse: inverse, Product: product);
        }).ToArray();

        foreach (var path in Ntt.Paths(degree, modulus))
        {
            var vector = new Ntt(degree, modulus, path);
            var prepared = vector.Factor(factor);
            foreach (var (input, forward, inverse, product) in inputs)
            {
                var actual = input.ToArray();
                vector.Forward(actual);
                Assert.That(actual.AsSpan().SequenceEqual(forward), Is.True, $"{path} forward");
                input.CopyTo(actual, 0);
                vector.Inverse(actual);
                Assert.That(actual.AsSpan().SequenceEqual(inverse), Is.True, $"{path} inverse");
                input.CopyTo(actual, 0);
                vector.InverseOfProduct(actual, prepared);
                Assert.That(actual.AsSpan().SequenceEqual(product), Is.True, $"{path} inverse of a product");
            }
        }
    }

    /// <summary>Random residues, and those that drive lazy bounds to their ends.</summary>
    private static IEnumerable<ulong[]> Inputs(int degree, ulong q)
    {
        yield return Filled(degree, _ => q - 1);
        yield return Filled(degree, _ => q / 2);
        yield return Filled(degree, _ => (q / 2) + 1);
        yield return Filled(degree, i => i % 2 == 0 ? 0 : q - 1);
        yield return Filled(degree, i => i < degree / 2 ? q - 1 : 0);
        yield return Filled(degree, i => i == 0 ? q - 1 : 0);
        for (var seed = 0; seed < 4; seed++)
        {
            var random = new Random(seed);
            yield return Filled(degree, _ => (ulong)random.NextInt64((long)q));
        }
    }

    private static ulong[] Filled(int degree, Func<int, ulong> value) => [.. Enumerable.Range(0, degree).Select(value)];
}
