namespace Flare;

/// <summary>A part of a tensor.</summary>
/// <param name="Start">Index of its first element.</param>
/// <param name="Length">Number of elements.</param>
public readonly record struct TensorChunk(long Start, int Length);

/// <summary>
/// The parts of a tensor, one after the other, each short enough for a span: <c>foreach (var chunk in
/// view.Chunks())</c>. A tensor without elements has none. Walking allocates nothing.
/// </summary>
public readonly struct TensorChunks
{
    /// <summary>
    /// Bytes that a part has at most, unless its length is asked for: 1 GiB, for a span's length is an int.
    /// </summary>
    public const int MostBytes = 1 << 30;

    private readonly long _length;
    private readonly int _most;

    internal TensorChunks(long length, int most)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        (_length, _most) = (length, most);
    }

    /// <summary>Walks from the first to the last.</summary>
    public Enumerator GetEnumerator() => new(_length, _most);

    /// <summary>Where a walk stands.</summary>
    public struct Enumerator
    {
        private readonly long _length;
        private readonly int _most;
        private long _next;

        internal Enumerator(long length, int most) => (_length, _most) = (length, most);

        /// <summary>The part.</summary>
        public TensorChunk Current { get; private set; }

        /// <summary>Goes to the next part, if there is one.</summary>
        public bool MoveNext()
        {
            if (_next >= _length) return false;
            Current = new(_next, (int)Math.Min(_most, _length - _next));
            _next += Current.Length;
            return true;
        }
    }
}
