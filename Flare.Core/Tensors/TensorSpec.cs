using System.Collections.Immutable;

namespace Flare;

/// <summary>What a tensor is to training. FedOpt and SCAFFOLD treat the two differently.</summary>
public enum TensorRole : byte
{
    /// <summary>Trained by gradients (PyTorch: a parameter).</summary>
    Parameter = 0,
    /// <summary>State that is not trained, such as BatchNorm's running statistics (PyTorch: a buffer).</summary>
    Buffer = 1,
}

/// <summary>Name, element type, shape and role of one tensor of a model.</summary>
public sealed class TensorSpec : IEquatable<TensorSpec>
{
    /// <summary>Describes a tensor.</summary>
    /// <param name="name">Unique in its layout, not empty; by convention dotted, such as <c>conv1.weight</c>.</param>
    /// <param name="dtype">The element type.</param>
    /// <param name="shape">The dimensions, outermost first, each at least 0; empty for a scalar.</param>
    /// <param name="role">Parameter or buffer.</param>
    /// <exception cref="ArgumentException">An empty name, a negative dimension, or more than 2^60 bytes.</exception>
    public TensorSpec(string name, DType dtype, ReadOnlySpan<long> shape, TensorRole role = TensorRole.Parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Int128 elements = 1;
        foreach (var dimension in shape)
        {
            if (dimension < 0) throw new ArgumentException($"Tensor '{name}' has the negative dimension {dimension}.", nameof(shape));
            elements *= dimension;
            if (elements > MaxBytes) break;
        }
        if (elements * dtype.Size() > MaxBytes) throw new ArgumentException($"Tensor '{name}' would take more than 2^60 bytes.", nameof(shape));
        (Name, DType, Shape, Role, Length) = (name, dtype, [.. shape], role, (long)elements);
    }

    private const long MaxBytes = 1L << 60;

    /// <summary>The tensor's name.</summary>
    public string Name { get; }

    /// <summary>The element type.</summary>
    public DType DType { get; }

    /// <summary>The dimensions, outermost first (row-major); empty for a scalar.</summary>
    public ImmutableArray<long> Shape { get; }

    /// <summary>Parameter or buffer.</summary>
    public TensorRole Role { get; }

    /// <summary>Number of elements, the product of the dimensions.</summary>
    public long Length { get; }

    /// <summary>Bytes of the elements, without padding.</summary>
    public long ByteLength => Length * DType.Size();

    /// <inheritdoc/>
    public bool Equals(TensorSpec? other) =>
        other is not null && Name == other.Name && DType == other.DType && Role == other.Role && Shape.AsSpan().SequenceEqual(other.Shape.AsSpan());

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TensorSpec);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, DType, Role, Length);

    /// <summary>For people: <c>fc.weight Float32[10,64]</c>, with <c>buffer</c> behind a buffer.</summary>
    public override string ToString() => $"{Name} {DType}[{string.Join(',', Shape)}]{(Role == TensorRole.Buffer ? " buffer" : "")}";
}
