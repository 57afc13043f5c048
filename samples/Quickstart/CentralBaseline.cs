using Flare;
using Flare.Learning;

/// <summary>The same model trained in one place, on all the data: what a federation is measured against.</summary>
internal sealed class CentralBaseline(TrainTest data, int seed)
{
    /// <summary>Passes over the data in a round, here and at the sites: both see every sample equally often.</summary>
    public const int EpochsPerRound = 2;

    private readonly Sequential _network = Models.DigitsCnn(seed);
    private readonly List<double> _accuracies = [];

    /// <summary>The share of held-out digits that the model got right, after each round so far.</summary>
    public IReadOnlyList<double> Accuracies => _accuracies;

    /// <summary>Trains as many epochs as the sites do in a round, and measures.</summary>
    public double Advance()
    {
        new LocalTrainer { Epochs = EpochsPerRound }.Train(_network, data.Train, seed + _accuracies.Count);
        _accuracies.Add(LocalTrainer.Evaluate(_network, data.Test).Accuracy);
        return _accuracies[^1];
    }

    /// <summary>The share of held-out digits that a model gets right.</summary>
    public static double Evaluate(StateDict model, Dataset test)
    {
        var network = Models.DigitsCnn();
        network.Load(model);
        return LocalTrainer.Evaluate(network, test).Accuracy;
    }
}
