namespace Flare;

/// <summary>
/// The 64-bit hash FNV-1a (Fowler, Noll and Vo), for names and traces that must hash alike on every platform and in
/// every version of Flare, which <see cref="HashCode"/> does not promise. Not for secrets: whoever chooses the input
/// chooses the hash.
/// </summary>
public struct Fnv1a
{
    private const ulong Prime = 1099511628211UL;

    /// <summary>A hash of nothing yet; the default of the struct is none.</summary>
    public Fnv1a() => Value = 14695981039346656037UL;

    /// <summary>The hash of what was added.</summary>
    public ulong Value { get; private set; }

    /// <summary>One step of the hash: takes a number in as a whole.</summary>
    /// <param name="value">A byte, or anything wider.</param>
    public void Step(ulong value) => Value = (Value ^ value) * Prime;

    /// <summary>Adds the eight bytes of a number, the lowest first.</summary>
    public void Add(ulong number)
    {
        for (var i = 0; i < 64; i += 8) Step((byte)(number >> i));
    }

    /// <summary>Adds a text's UTF-16 units, and an end, so that "ab" and "c" are not "a" and "bc".</summary>
    public void Add(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        foreach (var c in text) Step(c);
        Step(0x1F);
    }
}
