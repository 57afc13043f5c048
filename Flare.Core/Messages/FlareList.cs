using System.Collections;

namespace Flare;

/// <summary>
/// The items of a list in a message. The list itself never changes; the maps in it may, until they are frozen.
/// </summary>
internal sealed class FlareList(FlareValue[] items) : IReadOnlyList<FlareValue>, IContainer
{
    public int Count => items.Length;

    public FlareValue this[int index] => items[index];

    FlareValue IContainer.ValueAt(int index) => items[index];

    string? IContainer.NameAt(int index) => null;

    ContentSize? IContainer.FrozenSize { get; set; }

    public IEnumerator<FlareValue> GetEnumerator() => ((IEnumerable<FlareValue>)items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
