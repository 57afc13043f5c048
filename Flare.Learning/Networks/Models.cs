namespace Flare.Learning;

/// <summary>
/// Small networks ready to train. Each method is also a factory (seed in, network out), as trainers take them.
/// </summary>
public static class Models
{
    /// <summary>
    /// The network of NVIDIA FLARE's CIFAR-10 examples (and of PyTorch's tutorial): images [3, 32, 32], ten classes,
    /// 62,006 parameters. Max pooling stands before ReLU, which gives the same numbers for less work; names are
    /// PyTorch's (<c>conv1</c>, <c>conv2</c>, <c>fc1</c> to <c>fc3</c>).
    /// </summary>
    /// <param name="seed">Initial weights follow from it.</param>
    public static Sequential SimpleNetwork(long seed = 0) => new([3, 32, 32], seed,
        ("conv1", new Conv2d(3, 6, kernel: 5)), ("pool1", new MaxPool2d(2)), ("relu1", new ReLU()),
        ("conv2", new Conv2d(6, 16, kernel: 5)), ("pool2", new MaxPool2d(2)), ("relu2", new ReLU()),
        ("flatten", new Flatten()),
        ("fc1", new Linear(16 * 5 * 5, 120)), ("relu3", new ReLU()),
        ("fc2", new Linear(120, 84)), ("relu4", new ReLU()),
        ("fc3", new Linear(84, 10)));

    /// <summary>
    /// A small convolutional network for <see cref="Datasets.Digits"/>: images [1, 8, 8], ten classes, 6,586
    /// parameters. Eight epochs with <see cref="LocalTrainer"/>'s defaults get about 98 % of the test part right.
    /// </summary>
    /// <param name="seed">Initial weights follow from it.</param>
    public static Sequential DigitsCnn(long seed = 0) => new([1, 8, 8], seed,
        ("conv1", new Conv2d(1, 12, kernel: 3, padding: 1)), ("relu1", new ReLU()),
        ("conv2", new Conv2d(12, 24, kernel: 3, padding: 1)), ("pool1", new MaxPool2d(2)), ("relu2", new ReLU()),
        ("flatten", new Flatten()),
        ("fc1", new Linear(24 * 4 * 4, 10)));

    /// <summary>
    /// Multinomial logistic regression: one linear layer named <c>linear</c>. Samples of any shape with so many values
    /// will do.
    /// </summary>
    /// <param name="features">Values of a sample.</param>
    /// <param name="classes">Number of classes.</param>
    /// <param name="seed">Initial weights follow from it.</param>
    public static Sequential LogisticRegression(int features, int classes, long seed = 0) =>
        new([features], seed, ("linear", new Linear(features, classes)));
}
