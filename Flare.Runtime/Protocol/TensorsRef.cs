namespace Flare.Runtime;

/// <summary>
/// Stands for large tensors that a task's body lacks on its way to a site, which fetches them by their content's hash,
/// or has them already.
/// </summary>
/// <param name="Path">The names that lead to them in the body.</param>
/// <param name="Sha256">Their content's hash, as <see cref="StateDict.Sha256"/> forms it.</param>
/// <param name="Bytes">How large they are.</param>
internal sealed record TensorsRef(IReadOnlyList<string> Path, string Sha256, long Bytes)
{
    /// <summary>The body with another value where the path leads.</summary>
    public FlareMap Put(FlareMap body, FlareValue value, int depth = 0)
    {
        var copy = new FlareMap(body);
        var name = Path[depth];
        if (depth + 1 < Path.Count)
        {
            // A server may say anything; where there is no map there is one now, and the executor finds what it finds.
            var inner = body.TryGet(name, out var next) && next.Kind == FlareValueKind.Map ? next.AsMap() : [];
            value = Put(inner, value, depth + 1);
        }
        copy[name] = value;
        return copy;
    }

    /// <summary>
    /// All tensors above a size in maps within each other; a map that is held twice is looked at once. Those in lists
    /// travel with the body.
    /// </summary>
    public static IEnumerable<(IReadOnlyList<string> Path, StateDict Tensors)> LargeIn(FlareMap body, long above)
    {
        HashSet<FlareMap> seen = new(ReferenceEqualityComparer.Instance) { body };
        var pending = new Queue<(FlareMap Map, string[] Path)>();
        pending.Enqueue((body, []));
        while (pending.TryDequeue(out var next))
        {
            foreach (var (name, value) in next.Map)
            {
                if (value.Kind == FlareValueKind.Tensors && value.AsTensors().Layout.ByteLength > above)
                    yield return ([.. next.Path, name], value.AsTensors());
                else if (value.Kind == FlareValueKind.Map && seen.Add(value.AsMap()))
                    pending.Enqueue((value.AsMap(), [.. next.Path, name]));
            }
        }
    }
}
