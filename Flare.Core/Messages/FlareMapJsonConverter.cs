using System.Text.Json;
using System.Text.Json.Serialization;

namespace Flare;

/// <summary>
/// A <see cref="FlareMap"/> as a JSON object with its names in order; <see cref="FlareValueJsonConverter"/> has the
/// values.
/// </summary>
/// <remarks>
/// A name that begins with <c>$</c> is written with one more, so that it is not taken for a value's kind.
/// </remarks>
public sealed class FlareMapJsonConverter : JsonConverter<FlareMap>
{
    /// <inheritdoc/>
    /// <exception cref="JsonException">It is no object, a name is empty or comes twice, or a value is none.</exception>
    public override FlareMap Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new JsonException("A map of named values is a JSON object.");
        reader.Read();
        return ReadRest(ref reader);
    }

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">The map holds tensors.</exception>
    public override void Write(Utf8JsonWriter writer, FlareMap value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(value);
        Write(writer, value);
    }

    internal static void Write(Utf8JsonWriter writer, FlareMap map)
    {
        writer.WriteStartObject();
        foreach (var (name, value) in map)
        {
            writer.WritePropertyName(name.StartsWith('$') ? "$" + name : name);
            FlareValueJsonConverter.Write(writer, value);
        }
        writer.WriteEndObject();
    }

    /// <summary>Reads an object from its first name, or its end, on.</summary>
    internal static FlareMap ReadRest(ref Utf8JsonReader reader)
    {
        var map = new FlareMap();
        for (; reader.TokenType == JsonTokenType.PropertyName; reader.Read())
        {
            var name = reader.GetString()!;
            if (name.StartsWith('$'))
            {
                if (!name.StartsWith("$$", StringComparison.Ordinal))
                    throw new JsonException($"'{name}' stands beside other names.");
                name = name[1..];
            }
            if (name.Length == 0 || map.Contains(name))
                throw new JsonException($"The name '{name}' is empty, or comes twice.");
            reader.Read();
            map[name] = FlareValueJsonConverter.ReadValue(ref reader);
        }
        return map;
    }
}
