namespace Flare;

/// <content>Making state dicts of arrays.</content>
public sealed partial class StateDict
{
    /// <summary>
    /// Creates a state dict of float vectors: <c>StateDict.Create(("weight", [1, 2, 3]), ("bias", [0]))</c>.
    /// </summary>
    /// <exception cref="ArgumentException">Two tensors bear one name.</exception>
    public static StateDict Create(params ReadOnlySpan<(string Name, float[] Values)> tensors)
    {
        var builder = new StateDictBuilder();
        foreach (var (name, values) in tensors) builder.Add<float>(name, values);
        return builder.Build();
    }

    /// <summary>
    /// Creates a state dict of float tensors: <c>StateDict.Create(("weight", [1, 2, 3, 4], [2, 2]), ("bias", [0, 0],
    /// [2]))</c>.
    /// </summary>
    /// <exception cref="ArgumentException">Two tensors bear one name, or values and shape do not match.</exception>
    public static StateDict Create(params ReadOnlySpan<(string Name, float[] Values, long[] Shape)> tensors)
    {
        var builder = new StateDictBuilder();
        foreach (var (name, values, shape) in tensors)
            builder.Add<float>(new TensorSpec(name, DType.Float32, shape), values);
        return builder.Build();
    }
}
