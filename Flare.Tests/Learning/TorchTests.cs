using Flare.Learning;

namespace Flare.Tests.Learning;

/// <summary>
/// Three optimizer steps against PyTorch 1.13.1; torch_reference.py beside this file prints the numbers.
/// </summary>
public class TorchTests
{
    [Test]
    public void SimpleNetwork_under_SGD_with_momentum_and_decay_follows_PyTorch()
    {
        var network = Models.SimpleNetwork();
        Train(
            network, 4, [3, 1, 4, 1], new Sgd(0.1, 0.9) { WeightDecay = 0.01 },
            [2.3094825744628906, 2.275994300842285, 2.2150511741638184]);
        Check(network,
            ("conv1.weight", 0.00152316981, 13.9718303, 0.0228533652),
            ("conv1.bias", -0.0393545649, 0.178945994, -0.0508417897),
            ("conv2.weight", 0.0569654716, 74.5660403, -0.000656556163),
            ("conv2.bias", -0.0326303036, 0.479571814, -0.00912231207),
            ("fc1.weight", 0.807457616, 1491.61733, 0.0504762344),
            ("fc1.bias", 0.0463062638, 3.7951204, 0.0356110036),
            ("fc2.weight", -0.323196734, 313.322895, -0.0353285633),
            ("fc2.bias", -0.189608229, 2.28947779, 0.0423634946),
            ("fc3.weight", -0.104008952, 25.8816951, -0.0472774394),
            ("fc3.bias", -0.0478450861, 0.825362494, -0.0821987018));
    }

    [Test]
    public void Strides_batch_normalisation_and_average_pooling_under_Adam_follow_PyTorch()
    {
        var network = new Sequential([2, 8, 8], 0,
            ("conv1", new Conv2d(2, 4, 3, stride: 2, padding: 1)), ("bn1", new BatchNorm2d(4)), ("relu1", new ReLU()),
            ("pool1", new AvgPool2d(2)),
            ("flatten", new Flatten()), ("fc1", new Linear(16, 5)), ("bn2", new BatchNorm1d(5)),
            ("fc2", new Linear(5, 3)));
        Train(
            network, 5, [0, 1, 2, 1, 0], new Adam(0.01) { WeightDecay = 0.1 },
            [1.0980314016342163, 1.0951683521270752, 1.0925813913345337]);
        Check(network,
            ("conv1.weight", -0.0155201822, 0.805425935, 0.0166102163),
            ("conv1.bias", -0.0127002611, 0.0424433011, -0.00179605326),
            ("bn1.weight", -0.00914054946, 0.0387463814, -0.0221474115),
            ("bn1.bias", -0.01969379, 0.0429130327, 0.00529080629),
            ("bn1.running_mean", -0.0126880349, 0.0265608418, -0.000512314262),
            ("bn1.running_var", 2.92789543, 2.92789543, 0.731612384),
            ("bn1.num_batches_tracked", 3, 3, 3),
            ("fc1.weight", 0.0167315244, 0.918400518, 0.00975902844),
            ("fc1.bias", 0.0134217138, 0.0495791049, 0.0259389244),
            ("bn2.weight", 0.0320059485, 0.0548945772, 0.00507573877),
            ("bn2.bias", -0.0296208384, 0.103593002, -0.0143231302),
            ("bn2.running_mean", 0.0061013595, 0.0270177646, 0.0121826939),
            ("bn2.running_var", 3.64500183, 3.64500183, 0.729000628),
            ("bn2.num_batches_tracked", 3, 3, 3),
            ("fc2.weight", 0.0556011079, 0.247422389, 0.01917715),
            ("fc2.bias", 0.0168061629, 0.117597975, 0.0672020689));
    }

    [Test]
    public void Initial_weights_lie_within_PyTorchs_bounds()
    {
        var network = Models.SimpleNetwork(3);
        foreach (var (layer, fanIn) in new[] { ("conv1", 75), ("conv2", 150), ("fc1", 400), ("fc2", 120), ("fc3", 84) })
            foreach (var tensor in new[] { "weight", "bias" })
            {
                var values = network.Parameters.Single(p => p.Name == $"{layer}.{tensor}").Value.AsReadOnlySpan<float>()
                    .ToArray();
                var bound = 1 / Math.Sqrt(fanIn);
                Assert.That(values, Has.All.InRange(-bound, bound));
                if (values.Length > 400)
                    Assert.That(values.Average(v => v * v), Is.EqualTo(bound * bound / 3).Within(5).Percent);
            }
    }

    private static void Train(Sequential network, int count, int[] labels, Optimizer optimizer, double[] losses)
    {
        for (var i = 0; i < network.Parameters.Count; i++)
            Fill(network.Parameters[i].Value.AsSpan<float>(), i + 1, 1f / 16);
        var features = new float[count * network.InputShape.Aggregate((a, b) => a * b)];
        Fill(features, 99, 1);
        var data = new Dataset([.. network.InputShape], features, labels, network.Classes);
        foreach (var loss in losses)
        {
            Assert.That(network.Backpropagate(data, [.. Enumerable.Range(0, count)]), Is.EqualTo(loss).Within(2e-6));
            optimizer.Step(network);
        }
    }

    private static void Check(
        Sequential network, params (string Name, double Sum, double AbsoluteSum, double Middle)[] expected)
    {
        using var state = network.StateDict();
        Assert.That(state.Select(t => t.Name), Is.EqualTo(expected.Select(e => e.Name)));
        foreach (var (name, sum, absoluteSum, middle) in expected)
        {
            double[] values = state[name].Spec.DType == DType.Int64
                ? [state[name].AsReadOnlySpan<long>()[0]]
                : [.. state[name].AsReadOnlySpan<float>().ToArray().Select(v => (double)v)];
            var tolerance = Math.Max(2e-6, absoluteSum * 1e-6);
            Assert.That(values.Sum(), Is.EqualTo(sum).Within(tolerance), name);
            Assert.That(values.Sum(Math.Abs), Is.EqualTo(absoluteSum).Within(tolerance), name);
            Assert.That(values[values.Length / 2], Is.EqualTo(middle).Within(1e-6), name);
        }
    }

    private static void Fill(Span<float> values, long tensor, float scale)
    {
        for (var i = 0L; i < values.Length; i++)
        {
            var hash = (uint)(i * 2654435761 + tensor * 40503 * 65537);
            values[(int)i] = ((hash >> 16) - 32768f) / 32768 * scale;
        }
    }
}
