using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Flare;

/// <summary>
/// Named values, in the order of their names' first setting. A message freezes the maps it carries: setting a value afterwards throws.
/// Not thread-safe for writing.
/// </summary>
public sealed class FlareMap : IReadOnlyCollection<KeyValuePair<string, FlareValue>>
{
    // Messages carry a handful of names: a scan of a small array beats hashing, and keeps the order.
    private KeyValuePair<string, FlareValue>[] _items;

    /// <summary>Creates an empty map.</summary>
    public FlareMap() => _items = [];

    /// <summary>Creates a writable copy; nested maps and tensors are shared.</summary>
    public FlareMap(FlareMap source)
    {
        ArgumentNullException.ThrowIfNull(source);
        _items = source._items.AsSpan(0, source.Count).ToArray();
        Count = _items.Length;
    }

    /// <summary>Number of values.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the map belongs to a message that was sent.</summary>
    public bool IsReadOnly { get; private set; }

    /// <summary>The value of a name.</summary>
    /// <exception cref="FlareException">Reading: there is no such value.</exception>
    /// <exception cref="InvalidOperationException">Writing: the map is frozen.</exception>
    public FlareValue this[string name]
    {
        get => TryGet(name, out var value) ? value : throw new FlareException(ErrorIds.MalformedMessage, $"A message lacks the value '{name}'. It has: {string.Join(", ", _items.Take(Count).Select(i => i.Key))}.");
        set
        {
            ArgumentException.ThrowIfNullOrEmpty(name);
            if (IsReadOnly) throw new InvalidOperationException($"'{name}' cannot be set: the message was sent. Set values before, or write to a copy.");
            var index = IndexOf(name);
            if (index < 0)
            {
                if (Count == _items.Length) Array.Resize(ref _items, Math.Max(4, Count * 2));
                index = Count++;
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

    /// <summary>Adds a name and its value, for collection initialisers; a name set before takes the new value.</summary>
    public void Add(string name, FlareValue value) => this[name] = value;

    /// <summary>Makes the map, and all that it holds, read-only.</summary>
    public void Freeze()
    {
        if (IsReadOnly) return;
        IsReadOnly = true;
        for (var i = 0; i < Count; i++) _items[i].Value.Freeze();
    }

    /// <summary>How deep maps and lists may nest in a message.</summary>
    internal const int MaxDepth = 64;

    /// <summary>Refuses what nests too deep, or holds itself: whatever walks a message would not come back.</summary>
    /// <exception cref="FlareException">It does.</exception>
    internal void RequireDepth(int depth = 0)
    {
        for (var i = 0; i < Count; i++) RequireDepth(_items[i].Value, depth + 1);
    }

    private static void RequireDepth(FlareValue value, int depth)
    {
        if (depth > MaxDepth) throw new FlareException(ErrorIds.MalformedMessage, $"A message nests maps or lists deeper than {MaxDepth}, or holds itself. Send flatter data.");
        if (value.Kind == FlareValueKind.Map) value.AsMap().RequireDepth(depth);
        else if (value.Kind == FlareValueKind.List) foreach (var item in value.AsList()) RequireDepth(item, depth + 1);
    }

    /// <summary>The name of the first tensor, wherever the map holds it, with NaN or an infinity; null where there is none.</summary>
    internal string? FirstNonFiniteTensor()
    {
        for (var i = 0; i < Count; i++)
            if (FirstNonFiniteTensor(_items[i].Value) is { } name) return $"{_items[i].Key}/{name}";
        return null;
    }

    private static string? FirstNonFiniteTensor(FlareValue value) => value.Kind switch
    {
        FlareValueKind.Tensors => value.AsTensors().FirstNonFiniteTensor(),
        FlareValueKind.Map => value.AsMap().FirstNonFiniteTensor(),
        FlareValueKind.List => value.AsList().Select(FirstNonFiniteTensor).FirstOrDefault(name => name is not null),
        _ => null,
    };

    /// <summary>Whether both hold the same names with equal values, in whatever order.</summary>
    public bool ContentEquals([NotNullWhen(true)] FlareMap? other)
    {
        if (other is null || other.Count != Count) return false;
        for (var i = 0; i < Count; i++)
            if (!other.TryGet(_items[i].Key, out var value) || value != _items[i].Value) return false;
        return true;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, FlareValue>> GetEnumerator() => _items.Take(Count).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>For people.</summary>
    public override string ToString() => $"{{{string.Join(", ", this.Select(i => $"{i.Key}: {i.Value}"))}}}";

    private int IndexOf(string name)
    {
        for (var i = 0; i < Count; i++)
            if (string.Equals(_items[i].Key, name, StringComparison.Ordinal)) return i;
        return -1;
    }
}
