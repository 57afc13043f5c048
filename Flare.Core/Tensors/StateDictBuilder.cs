using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// Makes a state dict of arrays of any dtype, tensor by tensor:
/// <code>new StateDictBuilder().Add("fc.weight", weights, 10, 64).AddBuffer("bn.num_batches_tracked",
/// [0L]).Build()</code> It copies what it is given; a large model is better written into the spans of a <c>new
/// StateDict(layout)</c>.
/// </summary>
public sealed class StateDictBuilder
{
    private readonly List<(TensorSpec Spec, byte[] Content)> _tensors = [];

    /// <summary>Adds a parameter.</summary>
    /// <typeparam name="T">The CLR type of a <see cref="DType"/>.</typeparam>
    /// <param name="name">The tensor's name.</param>
    /// <param name="values">The elements, row-major.</param>
    /// <param name="shape">The dimensions, outermost first; none for a vector of all the values.</param>
    /// <exception cref="ArgumentException">Values and shape do not match, or see <see cref="TensorSpec"/>.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is no tensor element type.</exception>
    public StateDictBuilder Add<T>(string name, ReadOnlySpan<T> values, params ReadOnlySpan<long> shape)
        where T : unmanaged =>
        Add(new TensorSpec(name, DTypes.Of<T>(), shape.IsEmpty ? [values.Length] : shape), values);

    /// <summary>Adds a buffer: state that is not trained.</summary>
    /// <inheritdoc cref="Add{T}(string, ReadOnlySpan{T}, ReadOnlySpan{long})"/>
    public StateDictBuilder AddBuffer<T>(string name, ReadOnlySpan<T> values, params ReadOnlySpan<long> shape)
        where T : unmanaged =>
        Add(new TensorSpec(name, DTypes.Of<T>(), shape.IsEmpty ? [values.Length] : shape, TensorRole.Buffer), values);

    /// <summary>Adds a tensor as specified; a scalar, say, whose shape is empty.</summary>
    /// <param name="spec">Name, element type, shape and role.</param>
    /// <param name="values">The elements, row-major.</param>
    /// <exception cref="ArgumentException">The values are of another type or number than the spec says.</exception>
    public StateDictBuilder Add<T>(TensorSpec spec, ReadOnlySpan<T> values) where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (DTypes.Of<T>() != spec.DType)
            throw new ArgumentException(
                $"Tensor '{spec.Name}' holds {spec.DType}, but the values are {typeof(T).Name}.", nameof(values));
        if (values.Length != spec.Length)
            throw new ArgumentException(
                $"Tensor '{spec.Name}' is {spec.Kind}, {spec.Length} elements, but there are {values.Length} values.",
                nameof(values));
        _tensors.Add((spec, MemoryMarshal.AsBytes(values).ToArray()));
        return this;
    }

    /// <summary>Makes the state dict. The builder can go on to make others.</summary>
    /// <exception cref="ArgumentException">Two tensors bear one name.</exception>
    public StateDict Build()
    {
        var result = new StateDict(new TensorLayout(_tensors.Select(tensor => tensor.Spec)));
        for (var i = 0; i < _tensors.Count; i++)
            _tensors[i].Content.CopyTo(result.Bytes(i, 0, _tensors[i].Content.Length));
        return result;
    }
}
