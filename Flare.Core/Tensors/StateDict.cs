using System.Buffers;
using System.Collections;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Flare;

/// <summary>
/// A model's tensors by name, in order (PyTorch's term). All lie in one aligned run of memory, described by
/// <see cref="Layout"/>, so that aggregation, encryption, hashing and sending work on long runs.
/// <para>Memory: whoever creates a state dict owns it. <see cref="Dispose"/> returns the memory to a pool for the next
/// model of that size; without it the collector takes it. A message freezes the tensors it carries
/// (<see cref="Freeze"/>): from then on they are read-only and shared without copies, and <see cref="Dispose"/> by a
/// holder has no effect. <see cref="HandOver"/> lets the runtime return the memory as soon as the message has been
/// consumed. docs/memory.md has all verbs in one table.</para>
/// <para>Not thread-safe for writing; a frozen one may be read from any thread.</para>
/// </summary>
public sealed unsafe partial class StateDict : IReadOnlyCollection<TensorView>, IDisposable
{
    private TensorMemory? _memory;
    private bool _handedOver;
    private int _claimed;

    /// <summary>Creates a state dict of zeros.</summary>
    /// <param name="layout">The tensors and their places.</param>
    /// <exception cref="OutOfMemoryException">The model does not fit.</exception>
    public StateDict(TensorLayout layout) : this(layout, zeroed: true) { }

    private StateDict(TensorLayout layout, bool zeroed)
    {
        ArgumentNullException.ThrowIfNull(layout);
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException(
                "Flare keeps, sends and saves tensors in little-endian order; this machine is big-endian.");
        Layout = layout;
        _memory = TensorMemoryPool.Shared.Rent(layout.ByteLength);
        if (zeroed) Clear();
        else ClearPadding();
    }

    /// <summary>
    /// Creates a state dict whose elements hold anything, another model's values included: for who writes all of them.
    /// It spares a pass over memory. (The gaps between tensors are zero all the same, for hashes run over them.)
    /// </summary>
    /// <param name="layout">The tensors and their places.</param>
    /// <exception cref="OutOfMemoryException">The model does not fit.</exception>
    public static StateDict CreateUninitialized(TensorLayout layout) => new(layout, zeroed: false);

    /// <summary>Bytes of disposed state dicts that are kept for the next ones of their size: at most a quarter of the
    /// process's memory, and none for longer than it takes the collector to find them unused for a minute.</summary>
    public static long PooledBytes => TensorMemoryPool.Shared.RetainedBytes;

    /// <summary>
    /// Gives the pooled memory to the collector now, as on a mobile system's warning that memory is short.
    /// </summary>
    public static void TrimPool() => TensorMemoryPool.Shared.Trim(TimeSpan.Zero);

    /// <summary>The tensors and their places.</summary>
    public TensorLayout Layout { get; }

    /// <summary>Number of tensors.</summary>
    public int Count => Layout.Count;

    /// <summary>Whether the tensors are frozen: shared and read-only.</summary>
    public bool IsReadOnly { get; private set; }

    /// <summary>
    /// Address of the run: 64-byte aligned, <see cref="TensorLayout.ByteLength"/> bytes, valid while this instance is
    /// alive and not disposed.
    /// </summary>
    internal byte* Pointer => (_memory ?? throw Disposed()).Pointer;

    /// <summary>The tensor of a name.</summary>
    /// <exception cref="KeyNotFoundException">No tensor bears the name.</exception>
    public TensorView this[string name]
    {
        get
        {
            var index = Layout.IndexOf(name);
            return index >= 0 ? new(this, index)
                : throw new KeyNotFoundException(
                    $"No tensor is named '{name}'. There are: "
                        + $"{string.Join(", ", Layout.Take(8).Select(s => s.Name))}{(Count > 8 ? ", …" : "")}.");
        }
    }

    /// <summary>The tensor at a place in the order.</summary>
    public TensorView this[int index] =>
        (uint)index < (uint)Count ? new(this, index) : throw new ArgumentOutOfRangeException(nameof(index));

    /// <summary>
    /// Makes the tensors read-only for good, so that they can be shared without copies. Returns this instance.
    /// </summary>
    public StateDict Freeze()
    {
        IsReadOnly = true;
        return this;
    }

    /// <summary>
    /// Freezes the tensors and lets the runtime return their memory to the pool once the message that carries them has
    /// been consumed: do not read them after the message was sent. Returns this instance.
    /// </summary>
    public StateDict HandOver()
    {
        _handedOver |= !IsReadOnly; // what is frozen already may be shared: it stays the collector's
        return Freeze();
    }

    /// <summary>A writable copy.</summary>
    public StateDict Clone()
    {
        var copy = CreateUninitialized(Layout);
        Buffer.MemoryCopy(Pointer, copy.Pointer, Layout.ByteLength, Layout.ByteLength);
        GC.KeepAlive(this);
        return copy;
    }

    /// <summary>
    /// Returns the memory to the pool. Without effect on a frozen state dict, which others may share.
    /// </summary>
    public void Dispose()
    {
        if (!IsReadOnly) Release();
    }

    /// <summary>
    /// Takes memory that was handed over, for one message alone; false where another message has it. What is not handed
    /// over anybody may share.
    /// </summary>
    internal bool TryClaim() => !_handedOver || Interlocked.Exchange(ref _claimed, 1) == 0;

    /// <summary>
    /// The runtime's end of <see cref="HandOver"/>: the message that carried the tensors is consumed.
    /// </summary>
    internal void ReleaseIfHandedOver()
    {
        if (_handedOver) Release();
    }

    /// <summary>
    /// Takes a handed-over state dict for good: the message that carried it no longer decides over its memory.
    /// </summary>
    internal void Keep() => _handedOver = false;

    /// <summary>
    /// Returns the memory, frozen or not: for the runtime's own state dicts that nobody else can hold.
    /// </summary>
    internal void Release()
    {
        // What native code still holds is left to the collector, whom the handle keeps from it.
        if (Interlocked.Exchange(ref _memory, null) is { IsPinned: false } memory)
            TensorMemoryPool.Shared.Return(memory);
    }

    /// <summary>
    /// For people: <c>2 tensors, 4 elements: w Float32[1,3], b Float32[1]</c>; the first five of them.
    /// </summary>
    public override string ToString() =>
        $"{Readable.Count(Count, "tensor")}, {Readable.Count(Layout.ElementCount, "element")}"
        + $"{(Count > 0 ? ": " : "")}{string.Join(", ", Layout.Take(5))}{(Count > 5 ? ", …" : "")}";

    /// <inheritdoc/>
    public IEnumerator<TensorView> GetEnumerator()
    {
        for (var i = 0; i < Count; i++) yield return new TensorView(this, i);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Sets every element to zero.</summary>
    /// <exception cref="InvalidOperationException">The state dict is frozen.</exception>
    public void Clear()
    {
        RequireWritable();
        NativeMemory.Clear(Pointer, (nuint)Layout.ByteLength);
        GC.KeepAlive(this);
    }

    /// <summary>Copies all values from another state dict of the same layout.</summary>
    /// <exception cref="ArgumentException">The layouts differ; the message names the tensor.</exception>
    /// <exception cref="InvalidOperationException">This one is frozen.</exception>
    public void CopyFrom(StateDict source)
    {
        RequireSameLayout(source);
        RequireWritable();
        Buffer.MemoryCopy(source.Pointer, Pointer, Layout.ByteLength, Layout.ByteLength);
        GC.KeepAlive(source);
        GC.KeepAlive(this);
    }

    internal Span<T> Span<T>(int index, bool writable) where T : unmanaged
    {
        var spec = Layout[index];
        if (spec.Length > int.MaxValue)
            throw new InvalidOperationException(
                Invariant(
                    $"Tensor '{spec.Name}' has {spec.Length:N0} elements, more than a span holds; take slices of it, ")
                        + "as its Chunks() do.");
        return Span<T>(index, 0, (int)spec.Length, writable);
    }

    internal Span<T> Span<T>(int index, long start, int length, bool writable) where T : unmanaged
    {
        var spec = Layout[index];
        if (DTypes.Of<T>() != spec.DType)
            throw new InvalidOperationException($"Tensor '{spec.Name}' holds {spec.DType}, not {typeof(T).Name}.");
        if (start < 0 || length < 0 || start > spec.Length - length)
            throw new ArgumentOutOfRangeException(
                nameof(start),
                Invariant(
                    $"Elements {start} to {start + length} lie outside tensor '{spec.Name}' of {spec.Length} ")
                        + "elements.");
        if (writable) RequireWritable();
        var span = new Span<T>(Pointer + Layout.OffsetOf(index) + start * sizeof(T), length);
        // From here the span itself keeps the memory: the collector follows it into the pinned array.
        GC.KeepAlive(this);
        return span;
    }

    internal Span<byte> Bytes(int index)
    {
        var spec = Layout[index];
        if (spec.ByteLength > int.MaxValue)
            throw new InvalidOperationException(
                Invariant(
                    $"Tensor '{spec.Name}' has {spec.ByteLength:N0} bytes, more than a span holds; walk its ")
                        + "Chunks().");
        return Bytes(index, 0, (int)spec.ByteLength);
    }

    internal Span<byte> Bytes(int index, TensorChunk chunk)
    {
        var (spec, size) = (Layout[index], Layout[index].DType.Size());
        if (chunk.Start < 0 || chunk.Length < 0 || chunk.Start > spec.Length - chunk.Length)
            throw new ArgumentOutOfRangeException(
                nameof(chunk), $"{chunk} lies outside tensor '{spec.Name}' of {spec.Length} elements.");
        if ((long)chunk.Length * size > int.MaxValue)
            throw new ArgumentOutOfRangeException(nameof(chunk), $"{chunk} exceeds 2^31 bytes; take smaller parts.");
        return Bytes(index, chunk.Start * size, chunk.Length * size);
    }

    internal Span<byte> WritableBytes(int index)
    {
        RequireWritable();
        return Bytes(index);
    }

    internal Span<byte> WritableBytes(int index, TensorChunk chunk)
    {
        RequireWritable();
        return Bytes(index, chunk);
    }

    internal MemoryHandle Pin(int index)
    {
        var memory = _memory ?? throw Disposed();
        var handle = memory.Pin(Layout.OffsetOf(index));
        // Given back meanwhile, perhaps by a thread that did not see the handle yet: then another may hold it by now.
        if (ReferenceEquals(Volatile.Read(ref _memory), memory)) return handle;
        handle.Dispose();
        throw Disposed();
    }

    /// <summary>
    /// Some of a tensor's bytes, frozen or not: for the runtime, which fills and reads tensors whatever their dtype.
    /// </summary>
    internal Span<byte> Bytes(int index, long start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Layout[index].ByteLength - length);
        var span = new Span<byte>(Pointer + Layout.OffsetOf(index) + start, length);
        GC.KeepAlive(this);
        return span;
    }

    /// <summary>Some of the whole run's bytes, gaps included, frozen or not.</summary>
    internal Span<byte> RunBytes(long start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Layout.ByteLength - length);
        var span = new Span<byte>(Pointer + start, length);
        GC.KeepAlive(this);
        return span;
    }

    internal void RequireSameLayout(StateDict other, [CallerArgumentExpression(nameof(other))] string? argument = null)
    {
        ArgumentNullException.ThrowIfNull(other, argument);
        if (other.Layout.DifferenceFrom(Layout) is { } difference)
            throw new ArgumentException($"The two models differ in layout: {difference}.", argument);
    }

    private void RequireWritable()
    {
        if (IsReadOnly)
            throw new InvalidOperationException(
                "These tensors are frozen: they were sent, or belong to a "
                    + "message, and may be shared. Write to a Clone().");
    }

    internal void ClearPadding()
    {
        for (var i = 0; i < Count; i++)
        {
            var end = Layout.OffsetOf(i) + Layout[i].ByteLength;
            var next = i + 1 < Count ? Layout.OffsetOf(i + 1) : Layout.ByteLength;
            NativeMemory.Clear(Pointer + end, (nuint)(next - end));
        }
        GC.KeepAlive(this);
    }

    private static ObjectDisposedException Disposed() =>
        new(nameof(StateDict),
            "The tensors' memory was given back: the state dict was disposed, or handed over with a message that has "
                + "been consumed. Keep a Clone() of what you need afterwards.");
}
