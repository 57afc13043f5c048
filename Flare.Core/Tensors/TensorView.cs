using System.Buffers;
using System.Numerics.Tensors;

namespace Flare;

/// <summary>One tensor of a <see cref="StateDict"/>: a view, valid while the state dict's memory is.</summary>
/// <remarks>
/// A span's length is an int: the members that give a whole tensor as one span refuse those that are longer, which
/// <see cref="Chunks()"/> walks in parts. docs/memory.md says who owns the memory.
/// </remarks>
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
    /// <exception cref="InvalidOperationException">Another element type, a frozen state dict, or more than 2^31
    /// elements.</exception>
    public Span<T> AsSpan<T>() where T : unmanaged => _owner.Span<T>(_index, writable: true);

    /// <summary>Some of the elements, row-major, for writing.</summary>
    /// <param name="start">Index of the first element.</param>
    /// <param name="length">Number of elements.</param>
    public Span<T> AsSpan<T>(long start, int length) where T : unmanaged =>
        _owner.Span<T>(_index, start, length, writable: true);

    /// <summary>
    /// The elements, row-major, for reading (System.Numerics.Tensors' TensorPrimitives take such spans).
    /// </summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or more than 2^31 elements.</exception>
    public ReadOnlySpan<T> AsReadOnlySpan<T>() where T : unmanaged => _owner.Span<T>(_index, writable: false);

    /// <summary>Some of the elements, row-major, for reading.</summary>
    /// <param name="start">Index of the first element.</param>
    /// <param name="length">Number of elements.</param>
    public ReadOnlySpan<T> AsReadOnlySpan<T>(long start, int length) where T : unmanaged =>
        _owner.Span<T>(_index, start, length, writable: false);

    /// <summary>The parts of the tensor, at most 1 GiB each: one way to walk a tensor of any size.</summary>
    public TensorChunks Chunks() => Chunks(TensorChunks.MostBytes / Spec.DType.Size());

    /// <summary>The parts of the tensor, of so many elements each; the last may be shorter.</summary>
    /// <param name="length">Elements of a part, at least 1.</param>
    public TensorChunks Chunks(int length) => new(Spec.Length, length);

    /// <summary>The elements' bytes, row-major, little-endian, whatever the dtype, for reading.</summary>
    /// <exception cref="InvalidOperationException">More than 2^31 bytes.</exception>
    public ReadOnlySpan<byte> Bytes => _owner.Bytes(_index);

    /// <summary>
    /// The elements' bytes, row-major, little-endian, whatever the dtype, for writing: the caller answers for what they
    /// mean, and that those of a Bool are 0 or 1.
    /// </summary>
    /// <exception cref="InvalidOperationException">A frozen state dict, or more than 2^31 bytes.</exception>
    public Span<byte> WritableBytes => _owner.WritableBytes(_index);

    /// <summary>The bytes of a part, for reading.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie within the tensor, or exceeds 2^31
    /// bytes.</exception>
    public ReadOnlySpan<byte> BytesOf(TensorChunk chunk) => _owner.Bytes(_index, chunk);

    /// <summary>The bytes of a part, for writing; see <see cref="WritableBytes"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie within the tensor, or exceeds 2^31
    /// bytes.</exception>
    /// <exception cref="InvalidOperationException">A frozen state dict.</exception>
    public Span<byte> WritableBytesOf(TensorChunk chunk) => _owner.WritableBytes(_index, chunk);

    /// <summary>
    /// The tensor's address for native code: 64-byte aligned, <see cref="TensorSpec.ByteLength"/> bytes, row-major,
    /// little-endian. Until the handle is disposed of the memory stays where it is and is used for nothing else, even
    /// where the state dict is disposed of before.
    /// </summary>
    /// <returns>The handle; dispose of it once, when the native code is done. What the state dict is frozen for may
    /// only be read.</returns>
    /// <exception cref="ObjectDisposedException">The state dict's memory was given back.</exception>
    public MemoryHandle Pin() => _owner.Pin(_index);

    /// <summary>Copies all elements to a tensor of the same dtype and number of elements.</summary>
    /// <exception cref="ArgumentException">Their dtypes or numbers of elements differ.</exception>
    /// <exception cref="InvalidOperationException">The other's state dict is frozen.</exception>
    public void CopyTo(TensorView destination)
    {
        if (destination.Spec.DType != Spec.DType || destination.Spec.Length != Spec.Length)
            throw new ArgumentException(
                $"{this} cannot be copied to {destination}: dtype or length differ.", nameof(destination));
        foreach (var chunk in Chunks()) BytesOf(chunk).CopyTo(destination.WritableBytesOf(chunk));
    }

    /// <summary>A copy of the elements, row-major.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or more than 2^31 elements.</exception>
    public T[] ToArray<T>() where T : unmanaged => AsReadOnlySpan<T>().ToArray();

    /// <summary>The elements with their shape, for reading, as System.Numerics.Tensors has it.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or more than 2^31 elements.</exception>
    /// <remarks>
    /// A scalar, whose shape is empty, comes as one element of rank 1, since those spans have no rank 0.
    /// </remarks>
    public ReadOnlyTensorSpan<T> AsReadOnlyTensorSpan<T>() where T : unmanaged => new(AsReadOnlySpan<T>(), Lengths);

    /// <summary>The elements with their shape, for writing, as System.Numerics.Tensors has it.</summary>
    /// <typeparam name="T">The CLR type of <see cref="TensorSpec.DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, a frozen state dict, or more than 2^31
    /// elements.</exception>
    /// <remarks>
    /// A scalar, whose shape is empty, comes as one element of rank 1, since those spans have no rank 0.
    /// </remarks>
    public TensorSpan<T> AsTensorSpan<T>() where T : unmanaged => new(AsSpan<T>(), Lengths);

    /// <summary>For people: <c>fc.weight Float32[10,64]</c>.</summary>
    public override string ToString() => _owner is null ? "no tensor" : Spec.ToString();

    // Made of no lengths at all, a tensor span would have rank 1 and no elements.
    private nint[] Lengths => Spec.Shape.IsEmpty ? [1] : [.. Spec.Shape.Select(dimension => (nint)dimension)];
}
