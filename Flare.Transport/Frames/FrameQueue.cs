using System.Buffers;
using System.Numerics;

namespace Flare.Transport;

/// <summary>
/// Small frames that wait to be written, as bytes: two buffers take turns, so that nothing is allocated once they have
/// their size. Its owner locks it.
/// </summary>
internal sealed class FrameQueue
{
    private const int Smallest = 1024;
    private const int Kept = 256 * 1024;

    private byte[] _waiting = [];
    private byte[] _taken = [];

    /// <summary>Bytes that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Room for a frame, whose head is written.</summary>
    /// <returns>Where its payload goes.</returns>
    public Span<byte> Add(FrameType type, uint id, int length)
    {
        var needed = Count + WireHead.Size + length;
        if (needed > _waiting.Length)
            Array.Resize(ref _waiting, (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(needed, Smallest)));
        new WireHead(type, length, id).Write(_waiting.AsSpan(Count));
        var payload = _waiting.AsSpan(Count + WireHead.Size, length);
        Count = needed;
        return payload;
    }

    /// <summary>Takes all that waits. What was taken before has been written and is forgotten.</summary>
    public ReadOnlyMemory<byte> Take()
    {
        if (Count == 0) return default;
        // What one burst needed is not kept for good.
        if (_taken.Length > Kept) _taken = [];
        (_waiting, _taken) = (_taken, _waiting);
        var taken = _taken.AsMemory(0, Count);
        Count = 0;
        return taken;
    }
}
