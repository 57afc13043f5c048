using System.Buffers;
using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Flare.Runtime;

namespace Flare.Benchmarks.Aggregation;

/// <summary>
/// The exact weighted mean of 8 models of 10M floats in 60 tensors on 2 threads, next to what the machine's memory
/// allows and to the ordinary float sum: medians of repetitions that take turns, in GB of input a second.
/// </summary>
public static unsafe class AggregationRatios
{
    private const int Sites = 8;
    private const int Tensors = 60;
    private const long Elements = 10_000_000;
    private const double InputBytes = Sites * Elements * 4.0;

    /// <summary>Measures for a few seconds; the key of each figure says what it is.</summary>
    public static IReadOnlyDictionary<string, double> Measure(int repetitions = 15)
    {
        using var scheduler = new TwoThreads();
        var layout = new TensorLayout(
            Lengths().Select((length, i) => new TensorSpec($"layer{i}.weight", DType.Float32, [length])));
        var models = Enumerable.Range(0, Sites).Select(seed => Model(layout, seed)).ToArray();
        double[] weights = [100, 200, 150, 300, 120, 80, 60, 500];
        var contributions = models.Zip(weights, (model, weight) => (Tensors: model, Weight: weight)).ToArray();
        var oddWeights = models.Zip(weights, (model, weight) => (Tensors: model, Weight: weight / 7)).ToArray();
        using var result = new StateDict(layout);
        using var floats = new StateDict(layout);
        using var streaming = new ExactSum(layout, scheduler: scheduler);

        var before = Process.GetCurrentProcess().PrivateMemorySize64;
        using var fused = new ExactSum(layout, scheduler: scheduler);
        fused.Complete(contributions, result);
        var fusedMemory = Process.GetCurrentProcess().PrivateMemorySize64 - before;

        var sum = new long[2];
        (string Key, Action Work)[] contenders =
        [
            ("aggregation.read_gbps", () => scheduler.ForEachPart(2, part => sum[part] = Read(models, part))),
            ("aggregation.fused_gbps", () => fused.Complete(contributions, result)),
            ("aggregation.fused_fractions_gbps", () => fused.Complete(oddWeights, result)),
            ("aggregation.plain_gbps", () => scheduler.ForEachPart(2, part => PlainSum(models, weights, result, part))),
            ("aggregation.streaming_gbps", () =>
            {
                streaming.Add(contributions.AsSpan(0, 4));
                streaming.Add(contributions.AsSpan(4));
                streaming.Complete(result);
            }),
            ("aggregation.one_by_one_gbps", () =>
            {
                foreach (var (model, weight) in contributions) streaming.Add(model, weight);
                streaming.Complete(result);
            }),
            ("aggregation.float_one_by_one_gbps", () => FloatsOneByOne(scheduler, models, weights, floats, result)),
            // As ExactAggregator folds sixteen that come one by one: eight wait, and the ninth has them folded.
            ("aggregation.sixteen_arriving_gbps", () =>
            {
                streaming.Add(contributions);
                streaming.Complete(contributions, result);
            }),
            ("aggregation.float_sixteen_gbps", () =>
                FloatsOneByOne(scheduler, [.. models, .. models], [.. weights, .. weights], floats, result)),
        ];

        foreach (var (_, work) in contenders) for (var i = 0; i < 3; i++) work();
        var times = contenders.ToDictionary(c => c.Key, _ => new List<double>());
        long allocated = 0;
        for (var i = 0; i < repetitions; i++)
        {
            foreach (var (key, work) in contenders)
            {
                var bytes = GC.GetTotalAllocatedBytes(precise: true);
                var clock = Stopwatch.GetTimestamp();
                work();
                times[key].Add(Stopwatch.GetElapsedTime(clock).TotalSeconds);
                if (key == "aggregation.fused_gbps") allocated = GC.GetTotalAllocatedBytes(precise: true) - bytes;
            }
        }
        // Of each turn, since the machine's speed varies from turn to turn; a round of eight is folded in one pass.
        (string Key, double Ratio)[] ratios =
        [
            ("aggregation.eight_arriving_over_float",
                Over("aggregation.fused_gbps", "aggregation.float_one_by_one_gbps")),
            ("aggregation.sixteen_arriving_over_float",
                Over("aggregation.sixteen_arriving_gbps", "aggregation.float_sixteen_gbps")),
            ("aggregation.one_by_one_over_float",
                Over("aggregation.one_by_one_gbps", "aggregation.float_one_by_one_gbps")),
        ];
        var figures = times.ToDictionary(
            t => t.Key, t => (t.Key.Contains("sixteen", StringComparison.Ordinal) ? 2 : 1) * InputBytes / 1e9
                / Median([.. t.Value]));
        foreach (var (key, ratio) in ratios) figures[key] = ratio;
        figures["aggregation.ratio"] = figures["aggregation.fused_gbps"] / figures["aggregation.read_gbps"];
        figures["aggregation.allocated_bytes"] = allocated;
        figures["aggregation.extra_memory_mb"] = fusedMemory / 1e6;
        foreach (var (key, value) in SumsOfSums(scheduler, contributions, repetitions)) figures[key] = value;
        foreach (var model in models) model.Release();
        return figures;

        double Over(string key, string other) => Median([.. times[other].Zip(times[key], (b, a) => b / a)]);
    }

    /// <summary>
    /// A sum of four contributions written, read again, and merged with one of the other four; in milliseconds.
    /// </summary>
    private static Dictionary<string, double> SumsOfSums(
        ComputeScheduler scheduler, (StateDict Tensors, double Weight)[] contributions, int repetitions)
    {
        var layout = contributions[0].Tensors.Layout;
        using var part = new ExactSum(layout, scheduler: scheduler);
        using var copy = new ExactSum(layout, scheduler: scheduler);
        using var whole = new ExactSum(layout, scheduler: scheduler);
        part.Add(contributions.AsSpan(0, 4));
        whole.Add(contributions.AsSpan(4));
        var output = new ArrayBufferWriter<byte>();
        (string Key, Action Work)[] contenders =
        [
            ("aggregation.write_ms", () =>
            {
                output.ResetWrittenCount();
                part.WriteTo(output);
            }),
            ("aggregation.read_ms", () => copy.Read(new ReadOnlySequence<byte>(output.WrittenMemory))),
            ("aggregation.merge_ms", () => whole.Merge(copy)),
        ];
        var times = contenders.ToDictionary(c => c.Key, _ => new List<double>());
        for (var i = 0; i < repetitions; i++)
        {
            foreach (var (key, work) in contenders)
            {
                var clock = Stopwatch.GetTimestamp();
                work();
                times[key].Add(Stopwatch.GetElapsedTime(clock).TotalMilliseconds);
            }
        }
        var figures = times.ToDictionary(t => t.Key, t => Median(t.Value));
        figures["aggregation.written_bytes_per_element"] = output.WrittenCount / (double)Elements;
        return figures;
    }

    /// <summary>
    /// What a plain server does as contributions arrive: sum += weight · x in floats, then one division.
    /// </summary>
    private static void FloatsOneByOne(
        ComputeScheduler scheduler, StateDict[] models, double[] weights, StateDict sums, StateDict result)
    {
        for (var k = 0; k < models.Length; k++)
        {
            var (model, fresh, scale) = (models[k], k == 0, Vector512.Create((float)weights[k]));
            scheduler.ForEachPart(2, part => Add(model, scale, fresh, part));
        }
        var inverse = Vector512.Create((float)(1 / weights.Sum()));
        scheduler.ForEachPart(2, part =>
        {
            var half = sums.Layout.ByteLength / 128 * 64;
            var from = sums.Pointer + part * half;
            var to = result.Pointer + part * half;
            for (long i = 0; i < half; i += 64)
                Vector512.Store(Vector512.Load((float*)(from + i)) * inverse, (float*)(to + i));
        });

        void Add(StateDict model, Vector512<float> scale, bool fresh, int part)
        {
            var half = sums.Layout.ByteLength / 128 * 64;
            var from = model.Pointer + part * half;
            var to = sums.Pointer + part * half;
            for (long i = 0; i < half; i += 64)
            {
                var product = Vector512.Load((float*)(from + i)) * scale;
                Vector512.Store(fresh ? product : product + Vector512.Load((float*)(to + i)), (float*)(to + i));
            }
        }
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }

    // As in a network: a few large layers, many small ones.
    private static long[] Lengths()
    {
        var lengths = Enumerable.Range(0, Tensors).Select(i => i % 2 == 0 ? 1000L + i : 300_000 + 997 * i).ToArray();
        lengths[^1] += Elements - lengths.Sum();
        return lengths;
    }

    private static StateDict Model(TensorLayout layout, int seed)
    {
        var random = new Random(seed);
        var model = new StateDict(layout);
        foreach (var tensor in model)
            foreach (ref var x in tensor.AsSpan<float>())
                x = (float)((random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * 0.05);
        return model.Freeze();
    }

    private static long Read(StateDict[] models, int part)
    {
        var (a, b, c, d) = (Vector512<long>.Zero, Vector512<long>.Zero, Vector512<long>.Zero, Vector512<long>.Zero);
        foreach (var model in models)
        {
            var half = model.Layout.ByteLength / 512 * 256;
            var pointer = model.Pointer + part * half;
            for (long i = 0; i < half; i += 256)
            {
                a += Vector512.Load((long*)(pointer + i));
                b += Vector512.Load((long*)(pointer + i + 64));
                c += Vector512.Load((long*)(pointer + i + 128));
                d += Vector512.Load((long*)(pointer + i + 192));
            }
        }
        return Vector512.Sum(a + b + c + d);
    }

    private static void PlainSum(StateDict[] models, double[] weights, StateDict result, int part)
    {
        var inverse = Vector512.Create((float)(1 / weights.Sum()));
        var half = result.Layout.ByteLength / 128 * 64;
        var inputs = stackalloc byte*[Sites];
        var scales = stackalloc float[Sites];
        for (var k = 0; k < Sites; k++)
        {
            inputs[k] = models[k].Pointer + part * half;
            scales[k] = (float)weights[k];
        }
        var output = result.Pointer + part * half;
        for (long i = 0; i < half; i += 64)
        {
            var sum = Vector512<float>.Zero;
            for (var k = 0; k < Sites; k++)
                sum += Vector512.Load((float*)(inputs[k] + i)) * Vector512.Create(scales[k]);
            Vector512.Store(sum * inverse, (float*)(output + i));
        }
    }

    /// <summary>
    /// The calling thread and one that waits for it: no task, no allocation between a measurement's ends.
    /// </summary>
    private sealed class TwoThreads : ComputeScheduler, IDisposable
    {
        private readonly SemaphoreSlim _start = new(0);
        private readonly SemaphoreSlim _done = new(0);
        private readonly Thread _helper;
        private volatile Action<int>? _body;
        private int _parts;
        private int _next;

        public TwoThreads()
        {
            _helper = new Thread(() =>
            {
                while (true)
                {
                    _start.Wait();
                    if (_body is null) return;
                    Work();
                    _done.Release();
                }
            }) { IsBackground = true };
            _helper.Start();
        }

        public override int MaxParallelism => 2;

        public override Task<T> RunAsync<T>(Func<ValueTask<T>> work) => work().AsTask();

        public override void ForEachPart(int parts, Action<int> body)
        {
            (_parts, _next, _body) = (parts, 0, body);
            _start.Release();
            Work();
            _done.Wait();
        }

        public void Dispose()
        {
            _body = null;
            _start.Release();
            _helper.Join();
            _start.Dispose();
            _done.Dispose();
        }

        private void Work()
        {
            for (var part = Interlocked.Increment(ref _next) - 1; part < _parts; part = Interlocked.Increment(
                ref _next) - 1) _body!(part);
        }
    }
}
