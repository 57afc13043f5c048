namespace Flare.Learning;

/// <content>What an optimizer has gathered, taken out and put in.</content>
public abstract unsafe partial class Optimizer
{
    private const string Numbers = "numbers";

    /// <summary>A copy of what the optimizer has gathered so far (momentum, means), a tensor for each parameter: such
    /// as <c>velocity.conv1.weight</c>. Null before its first step. Learning rate and decay are not in it.</summary>
    public StateDict? StateDict()
    {
        if (_network is null) return null;
        var builder = new StateDictBuilder();
        foreach (var (name, values) in Gathered())
            foreach (var (parameter, i) in _network.Gradients.Layout.Select((p, i) => (p, i)))
                builder.Add<float>(
                    new TensorSpec($"{name}.{parameter.Name}", DType.Float32, parameter.Shape.AsSpan()),
                    values[i]);
        if (GatheredNumbers is { Length: > 0 } numbers) builder.Add<double>(Numbers, numbers);
        return builder.Build();
    }

    /// <summary>Takes what another optimizer of this kind has gathered for a network of the same parameters, copied:
    /// the next step is as if the other one went on.</summary>
    /// <param name="network">The network that this optimizer steps.</param>
    /// <param name="state">Its <see cref="StateDict"/>.</param>
    /// <exception cref="ArgumentException">It is of another kind of optimizer, or of other parameters.</exception>
    /// <exception cref="InvalidOperationException">This optimizer has stepped already.</exception>
    public void Load(Sequential network, StateDict state)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(state);
        if (_network is not null)
            throw new InvalidOperationException("The optimizer has a state already: load into a new one.");
        Start(network.Gradients.Layout);
        var expected = 0;
        foreach (var (name, values) in Gathered())
            foreach (var (parameter, i) in network.Gradients.Layout.Select((p, i) => (p, i)))
            {
                Read<float>(state, $"{name}.{parameter.Name}", values[i]);
                expected++;
            }
        if (GatheredNumbers is { Length: > 0 } numbers)
        {
            Read<double>(state, Numbers, numbers);
            GatheredNumbers = numbers;
            expected++;
        }
        if (state.Count != expected)
            throw new ArgumentException(
                $"The state has {state.Count} tensors, where a {GetType().Name} of this network has {expected}: it is "
                    + "of another optimizer or network.", nameof(state));
        _network = network;
    }

    private void Read<T>(StateDict state, string name, T[] values) where T : unmanaged
    {
        if (!state.Layout.Any(t => t.Name == name) || state[name].Spec.Length != values.Length)
            throw new ArgumentException(
                $"The state lacks the tensor '{name}' of {values.Length} elements, which a {GetType().Name} of this "
                    + "network has: it is of another optimizer or network.", nameof(state));
        state[name].AsReadOnlySpan<T>().CopyTo(values);
    }

    /// <summary>What it gathers for each parameter, once it has started.</summary>
    private protected abstract IEnumerable<(string Name, float[][] Values)> Gathered();

    /// <summary>What it gathers beside, a copy.</summary>
    private protected virtual double[] GatheredNumbers { get => []; set { } }
}
