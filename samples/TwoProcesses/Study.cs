using Flare;
using Flare.Learning;
using Flare.Workflows;

/// <summary>What server and sites have agreed on: the model, who has which digits, and how it is trained.</summary>
internal sealed class Study(Options options)
{
    private readonly TrainTest _digits = Datasets.Digits();

    public string[] Sites { get; } = [.. Enumerable.Range(1, options.Sites).Select(i => $"hospital-{i}")];

    public FedAvg Workflow() => new() { Rounds = options.Rounds };

    public StateDict InitialModel() => Models.DigitsCnn(options.Seed).StateDict();

    /// <summary>A site's trainer with its share of the digits, which every process works out for itself.</summary>
    public ClassifierTrainer Trainer(string site)
    {
        var shards = _digits.Train.SplitDirichlet(Sites.Length, 0.5, options.Seed);
        return new(Models.DigitsCnn, shards[Array.IndexOf(Sites, site)]) { Validation = _digits.Test };
    }

    public double Accuracy(StateDict model)
    {
        var network = Models.DigitsCnn();
        network.Load(model);
        return LocalTrainer.Evaluate(network, _digits.Test).Accuracy;
    }
}
