using System.Buffers.Binary;
using System.Collections;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;

namespace Flare;

/// <summary>
/// The tensors of a model in order, and where each lies in the model's one run of memory: each begins at a multiple of
/// <see cref="Alignment"/> bytes, the gaps are zero. Immutable; share one instance among all of a model's state dicts.
/// </summary>
public sealed class TensorLayout : IReadOnlyList<TensorSpec>, IEquatable<TensorLayout>
{
    /// <summary>Every tensor begins at a multiple of this many bytes: a cache line, and a 512-bit vector.</summary>
    public const int Alignment = 64;

    private readonly TensorSpec[] _specs;
    private readonly long[] _offsets;
    private readonly Dictionary<string, int> _indexes;

    /// <summary>Lays tensors out in the order given.</summary>
    /// <exception cref="ArgumentException">Two tensors bear one name, or the whole exceeds 2^60 bytes.</exception>
    public TensorLayout(params IEnumerable<TensorSpec> specs)
    {
        ArgumentNullException.ThrowIfNull(specs);
        _specs = [.. specs];
        _offsets = new long[_specs.Length];
        _indexes = new Dictionary<string, int>(_specs.Length, StringComparer.Ordinal);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var i = 0; i < _specs.Length; i++)
        {
            var spec = _specs[i] ?? throw new ArgumentException($"Tensor {i} is null.", nameof(specs));
            if (!_indexes.TryAdd(spec.Name, i))
                throw new ArgumentException(
                    $"Two tensors are named '{spec.Name}'; names are unique in a layout.", nameof(specs));
            _offsets[i] = ByteLength;
            ByteLength += (spec.ByteLength + Alignment - 1) / Alignment * Alignment;
            if (ByteLength > 1L << 60) throw new ArgumentException("The layout exceeds 2^60 bytes.", nameof(specs));
            ElementCount += spec.Length;
            AppendIdentity(hash, spec);
        }
        Runs = RunsOf();
        Fingerprint = Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Number of tensors.</summary>
    public int Count => _specs.Length;

    /// <summary>Bytes of the whole run, padding included.</summary>
    public long ByteLength { get; }

    /// <summary>Number of elements of all tensors together.</summary>
    public long ElementCount { get; }

    /// <summary>
    /// SHA-256, in lower-case hex, over every tensor's name, dtype, role and shape, in order. Two layouts are equal
    /// exactly when their fingerprints are.
    /// </summary>
    public string Fingerprint { get; }

    /// <summary>
    /// Consecutive tensors of one dtype, the gaps between them included: what is done alike to every element of a dtype
    /// is done to a few long runs, not to many small tensors.
    /// </summary>
    internal ImmutableArray<TensorRun> Runs { get; }

    /// <summary>The tensor at a place in the order.</summary>
    public TensorSpec this[int index] => _specs[index];

    /// <summary>Bytes from the run's begin to the tensor's first element.</summary>
    public long OffsetOf(int index) => _offsets[index];

    /// <summary>The place of a tensor in the order, or -1.</summary>
    public int IndexOf(string name) => _indexes.GetValueOrDefault(name, -1);

    /// <summary>The tensor whose elements, or the gap behind them, hold a byte of the run.</summary>
    internal int IndexAt(long offset)
    {
        var found = Array.BinarySearch(_offsets, offset);
        if (found < 0) return ~found - 1;
        // Tensors without elements share their offset with the next one: the last of them has the byte.
        while (found + 1 < Count && _offsets[found + 1] == offset) found++;
        return found;
    }

    /// <summary>What keeps two layouts apart, in words that name the tensor; null where they are equal.</summary>
    public string? DifferenceFrom(TensorLayout expected)
    {
        ArgumentNullException.ThrowIfNull(expected);
        if (Equals(expected)) return null;
        foreach (var spec in expected)
        {
            var index = IndexOf(spec.Name);
            if (index < 0) return $"tensor '{spec.Name}' is missing";
            if (!_specs[index].Equals(spec))
                return $"tensor '{spec.Name}' is {_specs[index].Kind} where {spec.Kind} is expected";
        }
        foreach (var spec in _specs)
            if (expected.IndexOf(spec.Name) < 0) return $"tensor '{spec.Name}' is not expected";
        return "the tensors are in another order";
    }

    /// <inheritdoc/>
    public bool Equals(TensorLayout? other) =>
        ReferenceEquals(this, other) || (other is not null && Fingerprint == other.Fingerprint);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TensorLayout);

    /// <inheritdoc/>
    public override int GetHashCode() => Fingerprint.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public IEnumerator<TensorSpec> GetEnumerator() => ((IEnumerable<TensorSpec>)_specs).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _specs.GetEnumerator();

    private ImmutableArray<TensorRun> RunsOf()
    {
        var runs = ImmutableArray.CreateBuilder<TensorRun>();
        for (var first = 0; first < Count;)
        {
            var next = first + 1;
            while (next < Count && _specs[next].DType == _specs[first].DType) next++;
            runs.Add(
                new(_specs[first].DType, first, next - first, _offsets[first],
                    (next < Count ? _offsets[next] : ByteLength) - _offsets[first]));
            first = next;
        }
        return runs.DrainToImmutable();
    }

    // Length-prefixed fields: no two different lists of tensors give the same bytes.
    private static void AppendIdentity(IncrementalHash hash, TensorSpec spec)
    {
        var name = Encoding.UTF8.GetBytes(spec.Name);
        Append(name.Length);
        hash.AppendData(name);
        Append(((long)spec.DType << 8) | (long)spec.Role);
        Append(spec.Shape.Length);
        foreach (var dimension in spec.Shape) Append(dimension);

        void Append(long value)
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
            hash.AppendData(bytes);
        }
    }
}

/// <summary>A run of consecutive tensors of one dtype.</summary>
/// <param name="DType">The element type of them all.</param>
/// <param name="First">Index of the first tensor.</param>
/// <param name="Count">Number of tensors.</param>
/// <param name="Offset">Bytes from the model's begin, a multiple of <see cref="TensorLayout.Alignment"/>.</param>
/// <param name="ByteLength">Bytes with the gaps, a multiple of <see cref="TensorLayout.Alignment"/>.</param>
internal readonly record struct TensorRun(DType DType, int First, int Count, long Offset, long ByteLength);
