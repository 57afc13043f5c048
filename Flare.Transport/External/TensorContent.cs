using System.Buffers;

namespace Flare.Transport;

/// <summary>The bytes of tensors in their order, without what lies between them, from where they are.</summary>
internal sealed class TensorContent : IDisposable
{
    private readonly List<MemoryHandle> _pins = [];

    /// <param name="tensors">They must not change until this is disposed of.</param>
    public TensorContent(IEnumerable<StateDict> tensors)
    {
        Segment? first = null, last = null;
        foreach (var tensor in tensors.SelectMany(t => t))
        {
            if (tensor.Spec.ByteLength == 0) continue;
            var pin = tensor.Pin();
            _pins.Add(pin);
            var size = tensor.Spec.DType.Size();
            foreach (var chunk in tensor.Chunks())
            {
                var memory = new PinnedMemory(pin, chunk.Start * size, chunk.Length * size).Memory;
                last = last is null ? first = new(memory) : last.Append(memory);
            }
        }
        if (first is not null) Bytes = new(first, 0, last!, last!.Memory.Length);
    }

    public ReadOnlySequence<byte> Bytes { get; }

    public void Dispose()
    {
        foreach (var pin in _pins) pin.Dispose();
        _pins.Clear();
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory) => Memory = memory;

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Segment(memory) { RunningIndex = RunningIndex + Memory.Length };
            Next = next;
            return next;
        }
    }

    private sealed unsafe class PinnedMemory(MemoryHandle pin, long start, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new((byte*)pin.Pointer + start, length);

        public override MemoryHandle Pin(int elementIndex = 0) =>
            new((byte*)pin.Pointer + start + elementIndex, default, this);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
