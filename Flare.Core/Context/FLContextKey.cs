namespace Flare;

/// <summary>Who sees a context property.</summary>
public enum PropertyVisibility
{
    /// <summary>It stays on this side.</summary>
    Private = 0,
    /// <summary>It is sent to the peer with every message.</summary>
    Public = 1,
}

/// <summary>How long a context property lives.</summary>
public enum PropertyLifetime
{
    /// <summary>As long as the context it was set in: one task, one event.</summary>
    Context = 0,
    /// <summary>As long as the run: every later context has it (FLARE: sticky).</summary>
    Run = 1,
}

/// <summary>
/// The typed name of a context property. Visibility and lifetime belong to the key, so that they are stated once; two
/// keys of one name that disagree are refused when the second is used.
/// </summary>
/// <typeparam name="T">The property's type. A public property travels, so its type is one that <see cref="FlareValue"/>
/// holds.</typeparam>
public sealed class FLContextKey<T>
{
    /// <summary>Defines a property.</summary>
    /// <param name="name">Its name, unique in the application.</param>
    /// <param name="visibility">Whether the peer sees it.</param>
    /// <param name="lifetime">Whether it outlives the context it is set in.</param>
    /// <exception cref="ArgumentException">A public property of a type that cannot travel.</exception>
    public FLContextKey(
        string name, PropertyVisibility visibility = PropertyVisibility.Private,
        PropertyLifetime lifetime = PropertyLifetime.Context)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (visibility == PropertyVisibility.Public && !PublicValue.CanHold(typeof(T)))
            throw new ArgumentException(
                $"The public property '{name}' travels to the peer, and {typeof(T).Name} cannot: use bool, int, "
                    + "long, double, string, byte[], FlareMap or FlareValue.", nameof(visibility));
        (Name, Visibility, Lifetime) = (name, visibility, lifetime);
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>Whether the peer sees the property.</summary>
    public PropertyVisibility Visibility { get; }

    /// <summary>Whether the property outlives the context it is set in.</summary>
    public PropertyLifetime Lifetime { get; }
}

internal static class PublicValue
{
    public static bool CanHold(Type type) =>
        type == typeof(bool) || type == typeof(int) || type == typeof(long) || type == typeof(double)
        || type == typeof(string)
        || type == typeof(byte[]) || type == typeof(FlareMap) || type == typeof(FlareValue);

    public static FlareValue From(object? value) => value switch
    {
        null => default,
        bool v => v,
        int v => v,
        long v => v,
        double v => v,
        string v => v,
        byte[] v => v,
        FlareMap v => Checked(v),
        FlareValue v => Checked(v),
        _ => throw new InvalidOperationException($"{value.GetType()} cannot travel."),
    };

    // A property's value stands two levels deep in a message's headers. And properties pass no filter: what privacy
    // filters are to see goes into the message.
    private static FlareValue Checked(FlareValue value)
    {
        var size = value.AsContainer() is { } container ? MessageWalk.Measure(container) : null;
        if (size is { Height: > MessageWalk.MaxDepth - 2 })
        {
            throw new FlareException(
                ErrorIds.MalformedMessage,
                "A public property of the context nests maps or lists deeper "
                    + $"than {MessageWalk.MaxDepth - 2}. Send flatter data.");
        }
        if (value.Kind == FlareValueKind.Tensors || size is { HasTensors: true })
        {
            throw new FlareException(
                ErrorIds.ContextProperty,
                "A public property of the context holds tensors. Public properties "
                    + "pass no filter; send tensors in the task's answer.");
        }
        return value;
    }
}
