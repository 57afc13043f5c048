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
    /// <param name="name">Unique in its layout, not empty, well-formed Unicode; by convention dotted, such as
    /// <c>conv1.weight</c>.</param>
    /// <param name="dtype">The element type.</param>
    /// <param name="shape">The dimensions, outermost first, each at least 0, at most <see cref="MaxRank"/>; empty for a
    /// scalar.</param>
    /// <param name="role">Parameter or buffer.</param>
    /// <exception cref="ArgumentException">An empty or ill-formed name, an unknown dtype or role, a negative dimension,
    /// too many of them, or more than 2^60 bytes.</exception>
    public TensorSpec(string name, DType dtype, ReadOnlySpan<long> shape, TensorRole role = TensorRole.Parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        // A lone surrogate has no UTF-8 form: two such names would share bytes in files and fingerprints.
        if (!PlainText.IsWellFormed(name))
            throw new ArgumentException(
                "The tensor's name is no well-formed Unicode: it holds half a surrogate pair.", nameof(name));
        if (role is not (TensorRole.Parameter or TensorRole.Buffer))
            throw new ArgumentOutOfRangeException(nameof(role), role, "Not a tensor's role.");
        if (shape.Length > MaxRank)
            throw new ArgumentException(
                $"Tensor '{name}' has {shape.Length} dimensions; at most {MaxRank} are possible.", nameof(shape));
        Int128 elements = 1;
        foreach (var dimension in shape)
        {
            if (dimension < 0)
                throw new ArgumentException(
                    Invariant($"Tensor '{name}' has the negative dimension {dimension}."), nameof(shape));
            elements *= dimension;
            if (elements > MaxBytes) break;
        }
        if (elements * dtype.Size() > MaxBytes)
            throw new ArgumentException($"Tensor '{name}' would take more than 2^60 bytes.", nameof(shape));
        (Name, DType, Shape, Role, Length) = (name, dtype, [.. shape], role, (long)elements);
    }

    /// <summary>A tensor has at most this many dimensions, as in PyTorch and NumPy.</summary>
    public const int MaxRank = 64;

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
        other is not null && Name == other.Name && DType == other.DType && Role == other.Role
        && Shape.AsSpan().SequenceEqual(other.Shape.AsSpan());

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TensorSpec);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, DType, Role, Length);

    /// <summary>For people: <c>fc.weight Float32[10,64]</c>, with <c>buffer</c> behind a buffer.</summary>
    public override string ToString() => $"{Name} {Kind}";

    /// <summary>All but the name, for people.</summary>
    internal string Kind => $"{DType}[{string.Join(',', Shape)}]{(Role == TensorRole.Buffer ? " buffer" : "")}";
}
