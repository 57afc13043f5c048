namespace Flare;

/// <summary>What maps and lists have in common: values, by name or not.</summary>
internal interface IContainer
{
    int Count { get; }

    FlareValue ValueAt(int index);

    /// <summary>A value's name; null in a list.</summary>
    string? NameAt(int index);

    /// <summary>What it holds all told, once it is frozen; null before.</summary>
    ContentSize? FrozenSize { get; set; }
}

/// <summary>
/// What a map or list holds, nested ones included. What is held twice counts twice, as it does on the wire.
/// </summary>
/// <param name="Bytes">
/// Tensors and bytes as they are, text and names two bytes a character, and what each value takes beside.
/// </param>
/// <param name="TensorBytes">Tensors and bytes alone.</param>
/// <param name="HasTensors">Whether there are tensors.</param>
/// <param name="Height">Maps and lists within each other, itself included.</param>
internal sealed record ContentSize(long Bytes, long TensorBytes, bool HasTensors, int Height);

/// <summary>
/// The one walk over what a message holds. A message may be made by anybody: it may nest without end, or hold itself,
/// or hold one map a million times. So no walk goes deeper than <see cref="MaxDepth"/>, and none looks at the same map
/// or list for ever.
/// </summary>
internal static class MessageWalk
{
    /// <summary>How deep maps and lists may nest in a message, the outermost included.</summary>
    public const int MaxDepth = 64;

    private const int ValueBytes = 24;
    private const int MostCounted = 64;

    /// <summary>
    /// Makes all that it holds read-only, and measures it; nothing is frozen where it nests too deep.
    /// </summary>
    /// <exception cref="FlareException">It nests too deep, or holds itself.</exception>
    public static void Freeze(IContainer container)
    {
        if (container.FrozenSize is not null) return;
        RequireDepth(container);
        Visit(container, 1, null);
    }

    /// <summary>Refuses what nests too deep.</summary>
    /// <exception cref="FlareException">It nests too deep, or holds itself.</exception>
    public static void RequireDepth(IContainer container)
    {
        var left = MostCounted;
        if (HeightOf(container, 1, ref left) > MaxDepth) Measure(container);
    }

    // How many maps and lists lie within each other, where there are but a few to look at, as in most messages; more
    // than MaxDepth where that is so or where there are more: then they have to be told apart to be looked at.
    private static int HeightOf(IContainer container, int depth, ref int left)
    {
        if (container.FrozenSize is { } size) return size.Height + depth - 1 > MaxDepth ? MaxDepth + 1 : size.Height;
        if (--left < 0 || depth > MaxDepth) return MaxDepth + 1;
        var height = 0;
        for (var i = 0; i < container.Count && height <= MaxDepth; i++)
            if (container.ValueAt(i).AsContainer() is { } inner)
                height = Math.Max(height, HeightOf(inner, depth + 1, ref left));
        return height + 1;
    }

    /// <summary>Measures without freezing.</summary>
    /// <exception cref="FlareException">It nests too deep, or holds itself.</exception>
    public static ContentSize Measure(IContainer container) =>
        container.FrozenSize ?? Visit(container, 1, new(ReferenceEqualityComparer.Instance));

    // With what was measured already; or, where there is nothing to keep it in, freezing, which keeps it in the
    // container.
    private static ContentSize Visit(IContainer container, int depth, Dictionary<IContainer, ContentSize>? measured)
    {
        var size = container.FrozenSize ?? measured?.GetValueOrDefault(container);
        if (size is not null)
        {
            if (depth - 1 + size.Height > MaxDepth) throw TooDeep();
            return size;
        }
        if (depth > MaxDepth) throw TooDeep();
        long bytes = 0, tensorBytes = 0;
        var hasTensors = false;
        var height = 0;
        for (var i = 0; i < container.Count; i++)
        {
            var value = container.ValueAt(i);
            bytes = Sum(bytes, ValueBytes + 2L * (container.NameAt(i)?.Length ?? 0));
            switch (value.Kind)
            {
                case FlareValueKind.Text: bytes = Sum(bytes, 2L * value.AsText().Length); break;
                case FlareValueKind.Bytes: AddTensorBytes(value.AsBytes().Length); break;
                case FlareValueKind.Tensors:
                    if (measured is null) value.AsTensors().Freeze();
                    hasTensors = true;
                    AddTensorBytes(value.AsTensors().Layout.ByteLength);
                    break;
                case FlareValueKind.List or FlareValueKind.Map:
                    var inner = Visit(value.AsContainer()!, depth + 1, measured);
                    bytes = Sum(bytes, inner.Bytes);
                    tensorBytes = Sum(tensorBytes, inner.TensorBytes);
                    hasTensors |= inner.HasTensors;
                    height = Math.Max(height, inner.Height);
                    break;
            }
        }
        size = new(bytes, tensorBytes, hasTensors, height + 1);
        if (measured is null) container.FrozenSize = size;
        else measured.Add(container, size);
        return size;

        void AddTensorBytes(long count)
        {
            bytes = Sum(bytes, count);
            tensorBytes = Sum(tensorBytes, count);
        }
    }

    /// <summary>
    /// All tensors, each with the names that lead to it; a map or list that is held twice is looked at once.
    /// </summary>
    public static IEnumerable<(string Path, StateDict Tensors)> Tensors(IContainer root)
    {
        if (root.FrozenSize is { HasTensors: false }) yield break;
        HashSet<IContainer> seen = new(ReferenceEqualityComparer.Instance) { root };
        var pending = new Queue<(IContainer Container, string Path)>();
        pending.Enqueue((root, ""));
        while (pending.TryDequeue(out var next))
        {
            for (var i = 0; i < next.Container.Count; i++)
            {
                var value = next.Container.ValueAt(i);
                var isTensors = value.Kind == FlareValueKind.Tensors;
                var inner = value.AsContainer();
                if (!isTensors && (inner is null or { FrozenSize.HasTensors: false } || !seen.Add(inner))) continue;
                var path = next.Path;
                if (next.Container.NameAt(i) is { } name) path = path.Length == 0 ? name : $"{path}/{name}";
                if (isTensors) yield return (path, value.AsTensors());
                else pending.Enqueue((inner!, path));
            }
        }
    }

    /// <summary>Whether both hold equal values: lists in order, maps by name in whatever order.</summary>
    /// <exception cref="FlareException">They are equal down to a depth that no message has.</exception>
    public static bool AreEqual(IContainer left, IContainer right, int depth = 1)
    {
        if (ReferenceEquals(left, right)) return true;
        if (left.Count != right.Count) return false;
        if (depth > MaxDepth) throw TooDeep();
        for (var i = 0; i < left.Count; i++)
        {
            var other = right.ValueAt(i);
            if (left.NameAt(i) is { } name && !((FlareMap)right).TryGet(name, out other)) return false;
            if (!left.ValueAt(i).EqualsAt(other, depth + 1)) return false;
        }
        return true;
    }

    private static long Sum(long left, long right)
    {
        var sum = unchecked(left + right);
        return sum < 0 ? long.MaxValue : sum;
    }

    private static FlareException TooDeep() => new(
        ErrorIds.MalformedMessage,
        $"A message nests maps or lists deeper than {MaxDepth}, or holds itself. Send flatter data.");
}
