using System.Runtime.CompilerServices;

namespace Flare.Crypto;

/// <summary>
/// Zeroed memory of a fixed length on a 64-byte boundary, so that no vector load crosses a cache line. It lies on the
/// pinned heap: the address holds as long as the buffer is referenced, and the collector frees it.
/// </summary>
internal sealed unsafe class AlignedBuffer<T>
    where T : unmanaged
{
    private const int Alignment = 64;
    private readonly byte[] _bytes;

    public AlignedBuffer(int length)
    {
        Length = length;
        _bytes = GC.AllocateArray<byte>(checked((length * sizeof(T)) + Alignment), pinned: true);
        var address = (nuint)Unsafe.AsPointer(ref _bytes[0]);
        Pointer = (T*)((address + Alignment - 1) & ~(nuint)(Alignment - 1));
    }

    /// <summary>The first element. Keep the buffer referenced while it is in use.</summary>
    public T* Pointer { get; }

    public int Length { get; }

    public Span<T> Span => new(Pointer, Length);
}
