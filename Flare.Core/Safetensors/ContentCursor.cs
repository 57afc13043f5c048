namespace Flare;

/// <summary>
/// The elements of a state dict's tensors, in a chosen order and without the gaps, as one stream of bytes to read or to
/// fill.
/// </summary>
internal sealed class ContentCursor(StateDict tensors, IReadOnlyList<int> order)
{
    private int _place;
    private long _within;

    /// <summary>The next bytes that lie together, at most so many; empty at the end.</summary>
    public Span<byte> Next(int limit)
    {
        for (; _place < order.Count; _place++, _within = 0)
        {
            var left = tensors.Layout[order[_place]].ByteLength - _within;
            if (left == 0) continue;
            var bytes = tensors.Bytes(order[_place], _within, (int)Math.Min(limit, left));
            _within += bytes.Length;
            return bytes;
        }
        return [];
    }

    /// <summary>Copies the next bytes out. Fewer than there is room for only at the end.</summary>
    public int CopyTo(Span<byte> destination)
    {
        var copied = 0;
        while (copied < destination.Length && Next(destination.Length - copied) is { IsEmpty: false } bytes)
        {
            bytes.CopyTo(destination[copied..]);
            copied += bytes.Length;
        }
        return copied;
    }

    /// <summary>Fills the next bytes.</summary>
    public void CopyFrom(ReadOnlySpan<byte> source)
    {
        while (Next(source.Length) is { IsEmpty: false } bytes)
        {
            source[..bytes.Length].CopyTo(bytes);
            source = source[bytes.Length..];
            if (source.IsEmpty) return;
        }
    }
}
