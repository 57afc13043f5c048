using System.Numerics.Tensors;

namespace Flare;

/// <summary>One tensor of a <see cref="StateDict"/>: a view, valid while the state dict's memory is.</summary>
public readonly struct TensorView
{
    private readonly StateDict _owner;
    private readonly int _index;

    internal TensorView(StateDict owner, int index) => (_owner, _index) = (owner, index);

    /// <summary>Name, element type, shape and role.</summary>
    public TensorSpec Spec => _owner.Layout[_index];

    /// <summary>The tensor's name.</summary>
    public string Name => Spec.Name;

    /// <summary>The elements, row-major, for writing.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, a frozen state dict, or more than 2^31 elements.</exception>
    public Span<T> AsSpan<T>() where T : unmanaged => _owner.Span<T>(_index, writable: true);

    /// <summary>Some of the elements, row-major, for writing.</summary>
    /// <param name="start">Index of the first element.</param>
    /// <param name="length">Number of elements.</param>
    public Span<T> AsSpan<T>(long start, int length) where T : unmanaged => _owner.Span<T>(_index, start, length, writable: true);

    /// <summary>The elements, row-major, for reading (System.Numerics.Tensors' TensorPrimitives take such spans).</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or more than 2^31 elements.</exception>
    public ReadOnlySpan<T> AsReadOnlySpan<T>() where T : unmanaged => _owner.Span<T>(_index, writable: false);

    /// <summary>Some of the elements, row-major, for reading.</summary>
    /// <param name="start">Index of the first element.</param>
    /// <param name="length">Number of elements.</param>
    public ReadOnlySpan<T> AsReadOnlySpan<T>(long start, int length) where T : unmanaged => _owner.Span<T>(_index, start, length, writable: false);

    /// <summary>A copy of the elements, row-major.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or more than 2^31 elements.</exception>
    public T[] ToArray<T>() where T : unmanaged => AsReadOnlySpan<T>().ToArray();

    /// <summary>The elements with their shape, for reading, as System.Numerics.Tensors has it.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or more than 2^31 elements.</exception>
    public ReadOnlyTensorSpan<T> AsReadOnlyTensorSpan<T>() where T : unmanaged => new(AsReadOnlySpan<T>(), [.. Lengths]);

    /// <summary>The elements with their shape, for writing, as System.Numerics.Tensors has it.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, a frozen state dict, or more than 2^31 elements.</exception>
    public TensorSpan<T> AsTensorSpan<T>() where T : unmanaged => new(AsSpan<T>(), [.. Lengths]);

    /// <summary>For people: <c>fc.weight Float32[10,64]</c>.</summary>
    public override string ToString() => _owner is null ? "no tensor" : Spec.ToString();

    private IEnumerable<nint> Lengths => Spec.Shape.Select(dimension => (nint)dimension);
}
