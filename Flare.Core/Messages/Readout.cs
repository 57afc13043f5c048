using System.Globalization;
using System.Text;

namespace Flare;

/// <summary>Values as people read them, however large or deep they are: cut where it gets long.</summary>
internal static class Readout
{
    /// <summary>What a map or list is cut to.</summary>
    public const int Most = 1000;

    /// <summary>A value, in about so many characters at most.</summary>
    public static string Of(FlareValue value, int most = Most)
    {
        var text = new StringBuilder();
        Append(text, value, most, 1);
        return text.ToString();
    }

    private static void Append(StringBuilder text, FlareValue value, int most, int depth)
    {
        switch (value.Kind)
        {
            case FlareValueKind.Text: text.Append(PlainText.Cut(value.AsText(), Math.Max(0, most - text.Length)));
            break;
            case FlareValueKind.List: AppendItems(text, value.AsContainer()!, '[', ']', most, depth); break;
            case FlareValueKind.Map: AppendItems(text, value.AsContainer()!, '{', '}', most, depth); break;
            default: text.Append(Scalar(value)); break;
        }
    }

    /// <summary>A value that is neither text, nor a list or map.</summary>
    public static string Scalar(FlareValue value) => value.Kind switch
    {
        FlareValueKind.Null => "null",
        FlareValueKind.Boolean => value.AsBoolean() ? "true" : "false",
        FlareValueKind.Integer => value.AsInteger().ToString(CultureInfo.InvariantCulture),
        FlareValueKind.Number => value.AsNumber().ToString("R", CultureInfo.InvariantCulture),
        FlareValueKind.Bytes => string.Create(CultureInfo.InvariantCulture, $"{value.AsBytes().Length} bytes"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value.AsTensors().Count} tensors"),
    };

    private static void AppendItems(StringBuilder text, IContainer items, char open, char close, int most, int depth)
    {
        text.Append(open);
        for (var i = 0; i < items.Count; i++)
        {
            if (i > 0) text.Append(", ");
            if (text.Length >= most || depth > MessageWalk.MaxDepth)
            {
                text.Append(CultureInfo.InvariantCulture, $"… ({items.Count - i:N0} more)");
                break;
            }
            if (items.NameAt(i) is { } name)
                text.Append(PlainText.Cut(name, Math.Max(0, most - text.Length))).Append(": ");
            Append(text, items.ValueAt(i), most, depth + 1);
        }
        text.Append(close);
    }
}
