namespace Flare.Transport;

/// <summary>Puts the bytes of a stream straight into tensors.</summary>
internal sealed class TensorSink : IStreamSink
{
    private readonly Action<StateDict[]> _complete;
    private readonly Action<string> _abort;
    private readonly StateDict[] _tensors;
    private int _dict;
    private int _tensor;
    private long _start;

    /// <param name="layouts">The tensors; together they have as many bytes as the stream.</param>
    /// <param name="complete">Called once all are there, with what is the callee's.</param>
    /// <param name="abort">Called where they do not come, with the reason.</param>
    public TensorSink(IEnumerable<TensorLayout> layouts, Action<StateDict[]> complete, Action<string> abort)
    {
        (_complete, _abort) = (complete, abort);
        _tensors = [.. layouts.Select(StateDict.CreateUninitialized)];
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var dict = _tensors[_dict];
            if (_tensor == dict.Count)
            {
                (_dict, _tensor) = (_dict + 1, 0);
                continue;
            }
            var view = dict[_tensor];
            var left = view.Spec.ByteLength - _start;
            if (left == 0)
            {
                (_tensor, _start) = (_tensor + 1, 0);
                continue;
            }
            var count = (int)Math.Min(left, bytes.Length);
            Copy(bytes[..count], view);
            _start += count;
            bytes = bytes[count..];
        }
    }

    // A part of a tensor is whole elements, and what arrives may end within one.
    private unsafe void Copy(ReadOnlySpan<byte> bytes, TensorView to)
    {
        using var pin = to.Pin();
        bytes.CopyTo(new Span<byte>((byte*)pin.Pointer + _start, bytes.Length));
    }

    public void Complete() => _complete(_tensors);

    public void Abort(string reason)
    {
        foreach (var dict in _tensors) dict.Dispose();
        _abort(reason);
    }
}
