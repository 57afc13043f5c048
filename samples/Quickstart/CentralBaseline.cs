using Flare;
using Flare.Learning;

/// <summary>The same model trained in one place, on all the data: what a federation is measured against.</summary>
internal static class CentralBaseline
{
    /// <summary>Passes over the data in a round, here and at the sites: both see every sample equally often.</summary>
    public const int EpochsPerRound = 2;

    /// <summary>Trains as many epochs as the sites do, and returns the accuracy on the held-out digits after each.</summary>
    public static double[] Train(TrainTest data, int rounds, int seed)
    {
        var network = Models.DigitsCnn(seed);
        var accuracies = new double[rounds];
        for (var round = 0; round < rounds; round++)
        {
            new LocalTrainer { Epochs = EpochsPerRound }.Train(network, data.Train, seed + round);
            accuracies[round] = LocalTrainer.Evaluate(network, data.Test).Accuracy;
        }
        return accuracies;
    }

    /// <summary>The share of held-out digits that a model gets right.</summary>
    public static double Evaluate(StateDict model, Dataset test)
    {
        var network = Models.DigitsCnn();
        network.Load(model);
        return LocalTrainer.Evaluate(network, test).Accuracy;
    }
}
