using System.Collections.Concurrent;

namespace Flare.Crypto;

/// <summary>All memory that one thread needs to encrypt or decrypt chunks of one set of parameters.</summary>
internal sealed class ChunkWorkspace
{
    public ChunkWorkspace(RlweParameters parameters)
    {
        Residues = Array.ConvertAll(parameters.Moduli, _ => new AlignedBuffer<ulong>(parameters.Degree));
        Noise = new AlignedBuffer<long>(parameters.Degree);
        Low = new AlignedBuffer<ulong>(parameters.Degree);
        High = new AlignedBuffer<ulong>(parameters.Degree);
        Integers = new int[parameters.ChunkValues];
    }

    /// <summary>A polynomial's residues, or digits, for each prime.</summary>
    public AlignedBuffer<ulong>[] Residues { get; }

    public AlignedBuffer<long> Noise { get; }

    /// <summary>Lower words of coefficients as they are sent or summed.</summary>
    public AlignedBuffer<ulong> Low { get; }

    /// <summary>Upper words of them.</summary>
    public AlignedBuffer<ulong> High { get; }

    /// <summary>Quantised values.</summary>
    public int[] Integers { get; }

    public AesBuffer Aes { get; } = new();

    /// <summary>Stream of the random polynomial of a chunk for a prime: part of the format.</summary>
    public static ulong PolynomialStream(int chunk, int prime) => ((ulong)chunk << 8) | (uint)prime;

    public void Clear()
    {
        foreach (var residues in Residues)
            residues.Span.Clear();
        Noise.Span.Clear();
        Low.Span.Clear();
        High.Span.Clear();
        Array.Clear(Integers);
        Array.Clear(Aes.Output);
    }
}

/// <summary>
/// As many objects as threads work at once, each used by one thread at a time, and kept for the next chunk.
/// </summary>
internal sealed class Pool<T>(Func<T> create)
    where T : class
{
    private readonly ConcurrentBag<T> _idle = [];

    public T Rent() => _idle.TryTake(out var item) ? item : create();

    public void Return(T item) => _idle.Add(item);

    /// <summary>Hands out what lies idle, for good.</summary>
    public void Drain(Action<T> dispose)
    {
        while (_idle.TryTake(out var item))
            dispose(item);
    }
}
