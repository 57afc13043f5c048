using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Flare;

/// <summary>
/// A <see cref="FlareValue"/> as JSON: null, Booleans, texts, lists and maps as JSON has them; integers without a
/// decimal point and numbers with one (or an exponent), so that each is read back as what it was. What JSON has no form
/// for is an object of one name:
/// <c>{"$number":"NaN"}</c> (or an infinity), <c>{"$bytes":"base64"}</c>. Tensors belong into a file of their own
/// (<see cref="StateDict.SaveAsync(string, CancellationToken)"/>) and are refused.
/// </summary>
public sealed class FlareValueJsonConverter : JsonConverter<FlareValue>
{
    /// <inheritdoc/>
    public override bool HandleNull => true;

    /// <inheritdoc/>
    /// <exception cref="JsonException">It is no value.</exception>
    public override FlareValue Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        ReadValue(ref reader);

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">The value is, or holds, tensors.</exception>
    public override void Write(Utf8JsonWriter writer, FlareValue value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Write(writer, value);
    }

    internal static void Write(Utf8JsonWriter writer, FlareValue value)
    {
        switch (value.Kind)
        {
            case FlareValueKind.Null: writer.WriteNullValue(); break;
            case FlareValueKind.Boolean: writer.WriteBooleanValue(value.AsBoolean()); break;
            case FlareValueKind.Integer: writer.WriteNumberValue(value.AsInteger()); break;
            case FlareValueKind.Number: WriteNumber(writer, value.AsNumber()); break;
            case FlareValueKind.Text: writer.WriteStringValue(value.AsText()); break;
            case FlareValueKind.Bytes:
                writer.WriteStartObject();
                writer.WriteBase64String("$bytes", value.AsBytes().Span);
                writer.WriteEndObject();
                break;
            case FlareValueKind.List:
                writer.WriteStartArray();
                foreach (var item in value.AsList()) Write(writer, item);
                writer.WriteEndArray();
                break;
            case FlareValueKind.Map: FlareMapJsonConverter.Write(writer, value.AsMap()); break;
            default: throw new NotSupportedException(
                "Tensors do not go into JSON: write them to a file with StateDict.SaveAsync.");
        }
    }

    private static void WriteNumber(Utf8JsonWriter writer, double number)
    {
        var text = number.ToString("R", CultureInfo.InvariantCulture);
        if (double.IsFinite(number))
        {
            writer.WriteRawValue(text.AsSpan().ContainsAny('.', 'E') ? text : text + ".0", skipInputValidation: true);
            return;
        }
        writer.WriteStartObject();
        writer.WriteString("$number", text);
        writer.WriteEndObject();
    }

    internal static FlareValue ReadValue(ref Utf8JsonReader reader)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.Null: return default;
            case JsonTokenType.True: return true;
            case JsonTokenType.False: return false;
            case JsonTokenType.String: return reader.GetString();
            case JsonTokenType.Number when reader.TryGetInt64(out var integer): return integer;
            case JsonTokenType.Number: return reader.GetDouble();
            case JsonTokenType.StartArray: return ReadList(ref reader);
            case JsonTokenType.StartObject:
                reader.Read();
                if (reader.TokenType != JsonTokenType.PropertyName) return new FlareMap();
                if (reader.ValueTextEquals("$number")) return ReadMarked(ref reader, NumberOf);
                return reader.ValueTextEquals("$bytes") ? ReadMarked(ref reader, BytesOf)
                    : FlareMapJsonConverter.ReadRest(ref reader);
            default: throw new JsonException($"A {reader.TokenType} is no value.");
        }
    }

    private static FlareValue ReadList(ref Utf8JsonReader reader)
    {
        List<FlareValue> items = [];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) items.Add(ReadValue(ref reader));
        return FlareValue.List([.. items]);
    }

    private delegate FlareValue Content(ref Utf8JsonReader reader);

    private static FlareValue NumberOf(ref Utf8JsonReader reader) =>
        (reader.TokenType == JsonTokenType.String ? reader.GetString() : "") switch
    {
        "NaN" => double.NaN,
        "Infinity" => double.PositiveInfinity,
        "-Infinity" => double.NegativeInfinity,
        _ => throw new JsonException("$number is NaN, Infinity or -Infinity."),
    };

    private static FlareValue BytesOf(ref Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.String && reader.TryGetBytesFromBase64(out var bytes)
            ? bytes
            : throw new JsonException("$bytes is a text in base64.");

    private static FlareValue ReadMarked(ref Utf8JsonReader reader, Content content)
    {
        reader.Read();
        var value = content(ref reader);
        reader.Read();
        return reader.TokenType == JsonTokenType.EndObject ? value
            : throw new JsonException("$number and $bytes stand alone.");
    }
}
