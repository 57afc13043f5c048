using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>The median is a part of a round like the mean.</summary>
public class CoordinateMedianTests
{
    [Test]
    public async Task It_is_FedAvgs_aggregator_where_it_is_set()
    {
        using var median = new CoordinateMedian();
        var workflow = new FedAvg { Rounds = 2, Validation = ValidationMode.None, Aggregator = median };
        var run = await Sites.RunAsync(
            workflow, Sites.Model(0), [.. new float[] { 1, 2, 3, 4, 1e30f }.Select(a => Sites.Adding(a))]);
        Assert.That(run.Model.Values(), Is.EqualTo(new[] { 6f }));
    }

    [Test]
    public async Task Each_coordinate_of_a_model_of_many_chunks_has_the_median_of_its_own()
    {
        const int elements = 4096 * 3 + 17;
        var random = new Random(5);
        var models = Enumerable.Range(0, 4)
            .Select(_ => Enumerable.Range(0, elements).Select(_ => random.NextSingle()).ToArray()).ToArray();
        Executor[] sites = [.. models.Select((values, i) => Sites.Answering(m => i % 2 == 0
            ? Dxo.Weights(Sites.Model(values)).ToShareable() : Dxo.WeightDiff(Sites.Model(values) - m).ToShareable()))];
        var start = Sites.Model(new float[elements]);
        var run = await Sites.RunAsync(
            new FedAvg { Rounds = 1, Validation = ValidationMode.None, Aggregator = new CoordinateMedian() }, start,
            sites);
        Assert.That(run.Model.Values(), Is.EqualTo(Enumerable.Range(0, elements).Select(i =>
        {
            var column = models.Select(m => m[i]).Order().ToArray();
            return (float)(((double)column[1] + column[2]) / 2);
        })));
    }

    [Test]
    public void Another_floating_type_is_refused_before_anybody_trains() => Assert.That(
        () =>
        Sites.RunAsync(
            new FedAvg { Rounds = 1, Aggregator = new CoordinateMedian() }, new StateDictBuilder().Add<double>("w", [0])
            .Build(), Sites.Adding(1)),
        Throws.TypeOf<FlareException>().With.Message.Contains("tensor 'w' holds Float64"));
}
