using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace Flare;

/// <summary>
/// Named values, in the order of their names' first setting. A message freezes the maps it carries: setting a value
/// afterwards throws. Not thread-safe for writing.
/// </summary>
[JsonConverter(typeof(FlareMapJsonConverter))]
public sealed class FlareMap : IReadOnlyCollection<KeyValuePair<string, FlareValue>>, IContainer
{
    // Most maps have a handful of names: a scan of a small array beats hashing, and keeps the order. Larger ones are
    // indexed besides.
    private const int MostScanned = 16;

    private KeyValuePair<string, FlareValue>[] _items;
    private Dictionary<string, int>? _index;
    private ContentSize? _frozenSize;

    /// <summary>Creates an empty map.</summary>
    public FlareMap() => _items = [];

    /// <summary>Creates a writable copy; nested maps and tensors are shared.</summary>
    public FlareMap(FlareMap source) : this(source, 0) { }

    /// <summary>Creates a writable copy with room for more names.</summary>
    internal FlareMap(FlareMap source, int room)
    {
        ArgumentNullException.ThrowIfNull(source);
        _items = source.Count + room == 0 ? [] : new KeyValuePair<string, FlareValue>[source.Count + room];
        source._items.AsSpan(0, source.Count).CopyTo(_items);
        Count = source.Count;
        if (source._index is not null) _index = new(source._index, StringComparer.Ordinal);
    }

    /// <summary>Number of values.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the map belongs to a message that was sent.</summary>
    public bool IsReadOnly => _frozenSize is not null;

    /// <summary>The value of a name.</summary>
    /// <exception cref="FlareException">Reading: there is no such value.</exception>
    /// <exception cref="InvalidOperationException">Writing: the map is frozen.</exception>
    public FlareValue this[string name]
    {
        get => TryGet(name, out var value) ? value : throw Missing(name);
        set
        {
            ArgumentException.ThrowIfNullOrEmpty(name);
            if (IsReadOnly)
                throw new InvalidOperationException(
                    $"'{name}' cannot be set: the message was sent. Set values before, or write to a copy.");
            var index = IndexOf(name);
            if (index < 0)
            {
                if (Count == _items.Length) Array.Resize(ref _items, Math.Max(4, Count * 2));
                index = Count++;
                AddToIndex(name, index);
            }
            _items[index] = new(name, value);
        }
    }

    /// <summary>The value of a name, if there is one.</summary>
    public bool TryGet(string name, out FlareValue value)
    {
        var index = IndexOf(name);
        value = index >= 0 ? _items[index].Value : default;
        return index >= 0;
    }

    /// <summary>Whether there is a value of the name.</summary>
    public bool Contains(string name) => IndexOf(name) >= 0;

    /// <summary>
    /// Adds a name and its value, for collection initialisers; a name set before takes the new value.
    /// </summary>
    public void Add(string name, FlareValue value) => this[name] = value;

    /// <summary>
    /// Makes the map, and all that it holds, read-only; what it holds too deep to be sent is not touched.
    /// </summary>
    /// <exception cref="FlareException">Maps and lists nest deeper than 64, or the map holds itself.</exception>
    public void Freeze() => MessageWalk.Freeze(this);

    /// <summary>
    /// All tensors that the map holds, in nested maps and lists too, each with the names that lead to it, such as
    /// <c>state/momentum</c>; an item of a list goes by the list's name. A map or list that is held twice is looked at
    /// once.
    /// </summary>
    public IEnumerable<(string Path, StateDict Tensors)> Tensors() => MessageWalk.Tensors(this);

    /// <summary>
    /// The name of the first tensor, wherever the map holds it, with NaN or an infinity; null where there is none.
    /// </summary>
    internal string? FirstNonFiniteTensor()
    {
        if (Count == 0 || _frozenSize is { HasTensors: false }) return null;
        foreach (var (path, tensors) in Tensors())
            if (tensors.FirstNonFiniteTensor() is { } name) return $"{path}/{name}";
        return null;
    }

    /// <summary>Whether both hold the same names with equal values, in whatever order.</summary>
    /// <exception cref="FlareException">Both nest deeper than a message may, and are equal as far as that.</exception>
    public bool ContentEquals([NotNullWhen(true)] FlareMap? other) =>
        other is not null && MessageWalk.AreEqual(this, other);

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, FlareValue>> GetEnumerator() =>
        new ArraySegment<KeyValuePair<string, FlareValue>>(_items, 0, Count).AsEnumerable().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    FlareValue IContainer.ValueAt(int index) => _items[index].Value;

    string? IContainer.NameAt(int index) => _items[index].Key;

    ContentSize? IContainer.FrozenSize
    {
        get => _frozenSize;
        set => _frozenSize = value;
    }

    /// <summary>For people; cut to about 1,000 characters.</summary>
    public override string ToString() => Readout.Of(this);

    private int IndexOf(string name)
    {
        if (_index is not null) return _index.TryGetValue(name, out var index) ? index : -1;
        for (var i = 0; i < Count; i++)
            if (string.Equals(_items[i].Key, name, StringComparison.Ordinal)) return i;
        return -1;
    }

    private void AddToIndex(string name, int index)
    {
        if (_index is not null) _index.Add(name, index);
        else if (Count > MostScanned)
        {
            _index = new(2 * Count, StringComparer.Ordinal);
            for (var i = 0; i < Count - 1; i++) _index.Add(_items[i].Key, i);
            _index.Add(name, index);
        }
    }

    private FlareException Missing(string name)
    {
        const int most = 20;
        var names = string.Join(", ", _items.Take(Math.Min(Count, most)).Select(i => PlainText.Cut(i.Key)));
        return new(
            ErrorIds.MalformedMessage,
            $"A message lacks the value '{PlainText.Cut(name)}'. It has: {names}"
            + $"{(Count > most ? $" and {Readable.Format(Count - most, "N0")} more" : "")}.");
    }
}
