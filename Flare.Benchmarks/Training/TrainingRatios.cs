using System.Diagnostics;
using System.Globalization;
using Flare.Learning;

namespace Flare.Benchmarks.Training;

/// <summary>
/// A step of SGD with momentum on SimpleNetwork (images 3 × 32 × 32, batches of 32, one thread): the managed network
/// beside PyTorch on the CPU, where /usr/bin/python3 has it. Medians of repetitions that take turns.
/// </summary>
public static class TrainingRatios
{
    private const int Batch = 32, StepsPerRepetition = 60;

    private const string TorchScript = """
        import sys, time, torch, torch.nn as nn
        torch.set_num_threads(1)
        net = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
        x, y, loss = torch.rand(32, 3, 32, 32) * 2 - 1, torch.randint(0, 10, (32,)), nn.CrossEntropyLoss()
        for line in sys.stdin:
            steps, begin = int(line), time.perf_counter()
            for _ in range(steps):
                optimizer.zero_grad()
                loss(net(x), y).backward()
                optimizer.step()
            print((time.perf_counter() - begin) * 1000 / steps, flush=True)
        """;

    /// <summary>
    /// Measures for about ten seconds: <c>training.ms_per_step</c>, <c>training.torch_ms_per_step</c> and
    /// <c>training.ratio</c>, ours by PyTorch's; the last two are NaN where there is no PyTorch.
    /// </summary>
    public static IReadOnlyDictionary<string, double> Measure(int repetitions = 9)
    {
        var network = Models.SimpleNetwork(seed: 1);
        var optimizer = new Sgd(learningRate: 0.001, momentum: 0.9);
        var (data, batch) = (RandomImages(), Enumerable.Range(0, Batch).ToArray());
        using var torch = StartTorch();
        var (ours, theirs) = (new List<double>(), new List<double>());
        // The first two repetitions warm up: the JIT compiles the kernels anew as they turn out hot.
        for (var repetition = -2; repetition < repetitions; repetition++)
        {
            var begin = Stopwatch.GetTimestamp();
            for (var step = 0; step < StepsPerRepetition; step++)
            {
                network.Backpropagate(data, batch);
                optimizer.Step(network);
            }
            var ms = Stopwatch.GetElapsedTime(begin).TotalMilliseconds / StepsPerRepetition;
            var torchMs = Ask(torch);
            if (repetition < 0)
            {
                // Tiered compilation works in the background, for a moment after a hundred milliseconds of quiet.
                Thread.Sleep(300);
                continue;
            }
            ours.Add(ms);
            theirs.Add(torchMs);
        }
        torch?.StandardInput.Close();
        torch?.WaitForExit();
        return new Dictionary<string, double>
        {
            ["training.ms_per_step"] = Median(ours),
            ["training.torch_ms_per_step"] = Median(theirs),
            ["training.ratio"] = Median(ours) / Median(theirs),
        };
    }

    private static Process? StartTorch()
    {
        const string Python = "/usr/bin/python3";
        if (!File.Exists(Python)) return null;
        var start = new ProcessStartInfo(
            Python) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(TorchScript);
        start.Environment["OMP_NUM_THREADS"] = start.Environment["OPENBLAS_NUM_THREADS"] = "1";
        return Process.Start(start);
    }

    // A Python without torch ends at once: no answer comes.
    private static double Ask(Process? torch)
    {
        if (torch is null || torch.HasExited) return double.NaN;
        try
        {
            torch.StandardInput.WriteLine(StepsPerRepetition);
            torch.StandardInput.Flush();
        }
        catch (IOException)
        {
            return double.NaN;
        }
        return torch.StandardOutput.ReadLine() is { } line ? double.Parse(line, CultureInfo.InvariantCulture)
            : double.NaN;
    }

    private static Dataset RandomImages()
    {
        var random = new Random(1);
        var features = new float[Batch * 3 * 32 * 32];
        foreach (ref var feature in features.AsSpan()) feature = random.NextSingle() * 2 - 1;
        return new Dataset(
            [3, 32, 32], features, [.. Enumerable.Range(0, Batch).Select(_ => random.Next(10))], classes: 10);
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
