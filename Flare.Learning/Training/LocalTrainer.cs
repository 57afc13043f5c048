namespace Flare.Learning;

/// <summary>What a run of local training did.</summary>
/// <param name="Steps">Optimizer steps, one a batch: FLARE's NUM_STEPS_CURRENT_ROUND.</param>
/// <param name="Samples">Samples seen, over all epochs.</param>
/// <param name="Loss">Mean loss of a sample over the last epoch, as it was when its batch was seen.</param>
public sealed record TrainingResult(int Steps, long Samples, double Loss);

/// <summary>How good a network is on some data.</summary>
/// <param name="Accuracy">Share of samples whose largest logit is their label's, 0 to 1.</param>
/// <param name="Loss">Mean cross entropy.</param>
/// <param name="Samples">Number of samples.</param>
public sealed record Evaluation(double Accuracy, double Loss, int Samples);

/// <summary>
/// Trains a network on data: epochs of shuffled batches. The same seed gives the same bits. Runs on the calling thread.
/// </summary>
public sealed class LocalTrainer
{
    private const int EvaluationBatch = 64;

    /// <summary>Passes over the data. Default 1.</summary>
    public int Epochs { get; init => field = Positive(value, nameof(Epochs)); } = 1;

    /// <summary>
    /// Samples in a batch; the last of an epoch may have fewer. Default 16. Multiples of 16 are fastest.
    /// </summary>
    public int BatchSize { get; init => field = Positive(value, nameof(BatchSize)); } = 16;

    /// <summary>
    /// Makes a run's optimizer; each run starts without momentum. Default: SGD, learning rate 0.05, momentum 0.9.
    /// </summary>
    public Func<Optimizer> Optimizer { get; init; } = DefaultOptimizer;

    /// <summary>
    /// Called in each step between the gradient and the optimizer, with the network whose gradients stand in
    /// <see cref="Sequential.Parameters"/>: the place for FedProx's proximal term, SCAFFOLD's control variates,
    /// clipping.
    /// </summary>
    public Action<Sequential>? BeforeStep { get; init; }

    /// <summary>Trains in place.</summary>
    /// <param name="network">The network; load weights into it before.</param>
    /// <param name="data">The site's data.</param>
    /// <param name="seed">Decides the order of samples and dropout's draws.</param>
    /// <param name="abort">Looked at before each batch.</param>
    /// <exception cref="OperationCanceledException">Training was aborted; the network is left where it was.</exception>
    public TrainingResult Train(Sequential network, Dataset data, long seed, CancellationToken abort = default) =>
        Train(network, data, seed, Optimizer(), abort);

    /// <summary>Trains in place with an optimizer of the caller's, which goes on with what it has gathered.</summary>
    /// <param name="network">The network; load weights into it before.</param>
    /// <param name="data">The site's data.</param>
    /// <param name="seed">Decides the order of samples and dropout's draws.</param>
    /// <param name="optimizer">Used in place of <see cref="Optimizer"/>.</param>
    /// <param name="abort">Looked at before each batch.</param>
    /// <exception cref="OperationCanceledException">Training was aborted; the network is left where it was.</exception>
    public TrainingResult Train(
        Sequential network, Dataset data, long seed, Optimizer optimizer, CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        if (data.Count == 0) throw new ArgumentException("There are no samples to train on.", nameof(data));
        network.Reseed(seed);
        var random = new SeededRandom(unchecked((ulong)seed), stream: 0x5B0FF1E);
        var order = new int[data.Count];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        var steps = 0;
        var loss = 0.0;
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            random.Shuffle(order);
            loss = 0;
            for (var start = 0; start < order.Length; start += BatchSize)
            {
                abort.ThrowIfCancellationRequested();
                var batch = order.AsSpan(start, Math.Min(BatchSize, order.Length - start));
                loss += network.Backpropagate(data, batch) * batch.Length;
                BeforeStep?.Invoke(network);
                optimizer.Step(network);
                steps++;
            }
        }
        return new(steps, (long)Epochs * data.Count, loss / data.Count);
    }

    /// <summary>Accuracy and loss of a network on data, with running statistics and without dropout.</summary>
    /// <param name="network">The network.</param>
    /// <param name="data">The data.</param>
    /// <param name="abort">Looked at before each batch.</param>
    public static Evaluation Evaluate(Sequential network, Dataset data, CancellationToken abort = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(data);
        if (data.Count == 0) throw new ArgumentException("There are no samples to evaluate on.", nameof(data));
        Span<int> batch = stackalloc int[EvaluationBatch];
        var (loss, right) = (0.0, 0);
        for (var start = 0; start < data.Count; start += EvaluationBatch)
        {
            abort.ThrowIfCancellationRequested();
            var count = Math.Min(EvaluationBatch, data.Count - start);
            for (var i = 0; i < count; i++) batch[i] = start + i;
            var score = network.Score(data, batch[..count]);
            loss += score.Loss;
            right += score.Right;
        }
        return new((double)right / data.Count, loss / data.Count, data.Count);
    }

    internal static Optimizer DefaultOptimizer() => new Sgd(learningRate: 0.05, momentum: 0.9);

    private static int Positive(int value, string name) =>
        value > 0 ? value : throw new ArgumentOutOfRangeException(name, value, "At least 1 is expected.");
}
