using System.Buffers;

namespace Flare.Transport;

/// <summary>A stream that this end sends. Its connection locks it.</summary>
internal sealed class OutgoingStream(uint id, ReadOnlySequence<byte> rest)
{
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public uint Id => id;

    /// <summary>What is still to be sent.</summary>
    public ReadOnlySequence<byte> Rest { get; private set; } = rest;

    /// <summary>What the other end takes now.</summary>
    public long Credit { get; set; }

    /// <summary>Whether a chunk is being written: the content's memory is in use.</summary>
    public bool IsWriting { get; set; }

    /// <summary>Set once it is over, however; told once nothing is being written any more.</summary>
    public Exception? Error { get; set; }
    public bool IsOver { get; set; }

    public Task Done => _done.Task;

    public ReadOnlySequence<byte> Take(int most)
    {
        var count = Math.Min(Math.Min(most, Credit), Rest.Length);
        var chunk = Rest.Slice(0, count);
        Rest = Rest.Slice(count);
        Credit -= count;
        return chunk;
    }

    public void Tell()
    {
        if (Error is null) _done.TrySetResult();
        else _done.TrySetException(Error);
    }
}

/// <summary>A stream that arrives. The reader's own.</summary>
internal sealed class IncomingStream(IStreamSink sink, long left, int window)
{
    public IStreamSink Sink => sink;

    /// <summary>Bytes that are still to come.</summary>
    public long Left { get; private set; } = left;

    private long _allowed = window;
    private int _taken;

    /// <summary>Whether the sender may send so many bytes now.</summary>
    public bool Allows(int count) => count <= _allowed && count <= Left;

    /// <summary>So many bytes are announced by a frame's head.</summary>
    public void Announce(int count) => _allowed -= count;

    /// <summary>Whether nothing more of it is wanted.</summary>
    public bool IsOver { get; set; }

    /// <summary>So many bytes have gone to the sink: how many more the sender may be told to send, or 0, and how many
    /// of these it has to send.</summary>
    public (int More, int Charge) Take(int count)
    {
        Left -= count;
        _taken += count;
        // Told in quarters of the window: one small frame each two megabytes, and the sender never stands still.
        if (Left == 0 || _taken < window / 4) return default;
        var more = _taken;
        var charge = (int)Math.Clamp(Left - _allowed, 0, more);
        (_taken, _allowed) = (0, _allowed + more);
        return (more, charge);
    }
}
