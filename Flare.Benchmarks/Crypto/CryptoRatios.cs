using System.Buffers;
using Flare.Crypto;

namespace Flare.Benchmarks.Crypto;

/// <summary>
/// Both schemes side by side on one core: eight sites encrypt a million floats each, a server adds, one site opens the
/// sum; and the transform beside its plain form.
/// </summary>
public static class CryptoRatios
{
    private const int Sites = 8, Parameters = 1_000_000, Repetitions = 3;

    /// <summary>
    /// Measures for less than a minute. Seconds of processor time are for all eight sites, the server and one opening;
    /// bytes up are a parameter's, of one site:
    /// <c>crypto.exact_seconds</c>, <c>crypto.exact_bytes_up</c> (22 bits, 8 sites); <c>crypto.ckks_seconds</c>,
    /// <c>crypto.ckks_bytes_up</c> (NVIDIA FLARE's parameters, symmetric, both polynomials sent, as it does) and
    /// <c>crypto.ckks_seeded_seconds</c>, <c>crypto.ckks_seeded_bytes_up</c> (a seed for the second);
    /// <c>crypto.ckks_over_exact</c>, seconds by seconds; <c>crypto.ntt_us</c> and <c>crypto.ntt_scalar_us</c>, a
    /// forward transform at N = 4096 and a prime of 48 bits.
    /// </summary>
    public static IReadOnlyDictionary<string, double> Measure()
    {
        var random = new Random(1);
        float[][] sites =
            [.. Enumerable.Range(0, Sites)
                .Select(_ => Enumerable.Range(0, Parameters).Select(_ => (random.NextSingle() * 2) - 1).ToArray())];
        var (exact, ckks, seeded) = (new List<double>(), new List<double>(), new List<double>());
        var (exactBytes, ckksBytes, seededBytes) = (0L, 0L, 0L);
        var buffers = new Buffers();
        // In turn, so that a neighbour's noise meets all of them; the first turn warms up.
        for (var repetition = 0; repetition <= Repetitions; repetition++)
        {
            // It takes a tenth of the others' time: oftener, for a median as steady as theirs.
            double[] times = [
                .. Enumerable.Range(0, Repetitions).Select(_ => Time(() => exactBytes = Exact(sites, buffers)))];
            var others =
                (Ckks: Time(() => ckksBytes = Ckks(sites, buffers, seeded: false)),
                    Seeded: Time(() => seededBytes = Ckks(sites, buffers, seeded: true)));
            if (repetition == 0) continue;
            exact.AddRange(times);
            ckks.Add(others.Ckks);
            seeded.Add(others.Seeded);
        }
        var (vector, scalar) = Transforms();
        return new Dictionary<string, double>
        {
            ["crypto.exact_seconds"] = Median(exact),
            ["crypto.exact_bytes_up"] = (double)exactBytes / Parameters,
            ["crypto.ckks_seconds"] = Median(ckks),
            ["crypto.ckks_bytes_up"] = (double)ckksBytes / Parameters,
            ["crypto.ckks_seeded_seconds"] = Median(seeded),
            ["crypto.ckks_seeded_bytes_up"] = (double)seededBytes / Parameters,
            ["crypto.ckks_over_exact"] = Median(ckks) / Median(exact),
            ["crypto.ntt_us"] = vector,
            ["crypto.ntt_scalar_us"] = scalar,
        };
    }

    private static long Exact(float[][] sites, Buffers buffers)
    {
        var parameters = RlweParameters.Choose(Sites, Quantization.ForRange(1, 22));
        using var ring = new KeyRing(SecretKey.Generate());
        using var encryptor = new RlweEncryptor(parameters, ring.Current);
        using var decryptor = new RlweDecryptor(parameters, ring);
        var round = new AggregationRound("benchmark", 1);
        var accumulator = new RlweAccumulator(parameters, round, ring.Current.Id, Parameters);
        var upload = buffers.Upload.AsSpan(0, encryptor.UploadBytes(round, "site-1", Parameters));
        for (var site = 0; site < Sites; site++)
        {
            encryptor.Encrypt(sites[site], round, $"site-{site + 1}", upload);
            accumulator.Add(upload);
        }
        var sum = buffers.Sum.AsSpan(0, accumulator.SumBytes);
        accumulator.Write(sum);
        var sums = buffers.Integers;
        decryptor.Decrypt(sum, new ExpectedSum(round, Sites), sums);
        Require(Math.ScaleB(sums[^1], -parameters.Format.FractionBits), sites, 1e-5);
        return upload.Length;
    }

    private static long Ckks(float[][] sites, Buffers buffers, bool seeded)
    {
        const double scale = 1L << 40;
        var parameters = CkksParameters.NvFlare;
        var slots = parameters.SlotCount;
        var sums = buffers.Ciphertexts;
        using var key = CkksSecretKey.Generate(parameters);
        using var encryptor = new CkksEncryptor(key) { Seeded = seeded };
        using var decryptor = new CkksDecryptor(key);
        var ciphertext = new CkksCiphertext(parameters);
        var received = new CkksCiphertext(parameters);
        var file = buffers.File;
        var bytes = 0L;
        for (var site = 0; site < Sites; site++)
        {
            bytes = 0;
            for (var chunk = 0; chunk < sums.Length; chunk++)
            {
                encryptor.Encrypt(Run(sites[site], chunk, slots), scale, ciphertext);
                file.ResetWrittenCount();
                SealFile.Write(ciphertext, file);
                bytes += file.WrittenCount;
                SealFile.ReadCiphertext(file.WrittenSpan, received);
                if (site == 0) sums[chunk].CopyFrom(received);
                else CkksEvaluator.Add(sums[chunk], received);
            }
        }
        var opened = buffers.Values;
        for (var chunk = 0; chunk < sums.Length; chunk++)
        {
            var run = Run(opened, chunk, slots);
            decryptor.Decrypt(sums[chunk], NoiseEstimate.Symmetric * Sites, opened.AsSpan(chunk * slots, run.Length));
        }
        Require(opened[^1], sites, 1e-5);
        return bytes;
    }

    private static (double Vector, double Scalar) Transforms()
    {
        const int degree = 4096, batch = 200;
        var modulus = new Modulus(PrimeSearch.NttPrimes(degree, 48)[0]);
        var (ntt, plainNtt) = (new Ntt(degree, modulus), new Ntt(degree, modulus, NttPath.Scalar));
        var values = new AlignedBuffer<ulong>(degree);
        var random = new Random(1);
        foreach (ref var value in values.Span) value = (ulong)random.NextInt64((long)modulus.Value);
        var (vector, scalar) = (new List<double>(), new List<double>());
        for (var repetition = -20; repetition < 21; repetition++)
        {
            var fast = Time(() => { for (var i = 0; i < batch; i++) ntt.Forward(values.Span); });
            var plain = Time(() => { for (var i = 0; i < batch; i++) plainNtt.Forward(values.Span); });
            if (repetition < 0) continue;
            vector.Add(fast * 1e6 / batch);
            scalar.Add(plain * 1e6 / batch);
        }
        return (Median(vector), Median(scalar));
    }

    private static ReadOnlySpan<float> Run(float[] values, int chunk, int slots) =>
        values.AsSpan(chunk * slots, Math.Min(slots, values.Length - (chunk * slots)));

    private static void Require(double sum, float[][] sites, double tolerance)
    {
        if (Math.Abs(sum - sites.Sum(s => (double)s[^1])) > tolerance)
            throw new InvalidOperationException(
                "The sum that was opened is not that of the sites: these figures mean nothing.");
    }

    // The processor's time: all of this runs on one thread, and the machine may be busy with others.
    private static double Time(Action work)
    {
        var begin = Environment.CpuUsage.TotalTime;
        work();
        return (Environment.CpuUsage.TotalTime - begin).TotalSeconds;
    }

    // Kept from turn to turn, as by a server and its sites from round to round: what is measured are the schemes, not
    // fresh memory.
    private sealed class Buffers
    {
        public byte[] Upload { get; } = new byte[4 * Parameters];

        public byte[] Sum { get; } = new byte[4 * Parameters];

        public long[] Integers { get; } = new long[Parameters];

        public float[] Values { get; } = new float[Parameters];

        public ArrayBufferWriter<byte> File { get; } = new(1 << 18);

        public CkksCiphertext[] Ciphertexts { get; } =
            [.. Enumerable.Range(
                0, (Parameters + CkksParameters.NvFlare.SlotCount - 1) / CkksParameters.NvFlare.SlotCount)
                .Select(_ => new CkksCiphertext(CkksParameters.NvFlare))];
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
