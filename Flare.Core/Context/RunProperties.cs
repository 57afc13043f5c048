namespace Flare;

/// <summary>The properties of one side of a run that outlive a context; any thread may use them.</summary>
internal sealed class RunProperties
{
    private readonly Dictionary<string, ContextProperty> _properties = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    public ContextProperty? Find(string name)
    {
        lock (_gate) return _properties.GetValueOrDefault(name);
    }

    public void Set(ContextProperty property)
    {
        lock (_gate) _properties[property.Name] = property;
    }

    /// <summary>Those that the other side sees, in a map of the caller's own; null where there are none.</summary>
    public FlareMap? Public()
    {
        lock (_gate)
        {
            FlareMap? map = null;
            foreach (var property in _properties.Values)
                if (property.Visibility == PropertyVisibility.Public)
                    (map ??= [])[property.Name] = PublicValue.From(property.Value);
            return map;
        }
    }
}
