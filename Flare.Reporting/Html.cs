using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Flare.Reporting;

/// <summary>
/// HTML under construction. The literal parts of an interpolated string are markup, and what is interpolated is text,
/// escaped, unless it is <see cref="Html"/> itself. Numbers are written in the invariant culture.
/// </summary>
internal sealed class Html
{
    private readonly StringBuilder _text = new();

    /// <summary>A piece of HTML.</summary>
    public static Html Of(Handler html) => html.Result;

    /// <summary>A piece where a condition holds, else nothing.</summary>
    public static Html If(bool condition, Handler html) => condition ? html.Result : new();

    /// <summary>Markup of our own.</summary>
    public static Html Raw(string markup)
    {
        var html = new Html();
        html._text.Append(markup);
        return html;
    }

    /// <summary>Whether nothing was added yet.</summary>
    public bool IsEmpty => _text.Length == 0;

    /// <summary>Adds to the end. Returns this instance, into which the handler has written by now.</summary>
    public Html Append([InterpolatedStringHandlerArgument("")] Handler html)
    {
        _ = html;
        return this;
    }

    /// <summary>The HTML.</summary>
    public override string ToString() => _text.ToString();

    /// <summary>Takes an interpolated string apart.</summary>
    [InterpolatedStringHandler]
    internal readonly struct Handler
    {
        public Handler(int literalLength, int formattedCount) : this(literalLength, formattedCount, new()) { }

        public Handler(int literalLength, int formattedCount, Html target)
        {
            Result = target;
            target._text.EnsureCapacity(target._text.Length + literalLength + 8 * formattedCount);
        }

        /// <summary>What was written to.</summary>
        public Html Result { get; }

        public void AppendLiteral(string markup) => Result._text.Append(markup);

        public void AppendFormatted(Html part) => Result._text.Append(part._text);

        public void AppendFormatted(string? text)
        {
            foreach (var c in ShownText.Of(text ?? "", lines: true))
            {
                var entity =
                    c switch { '<' => "&lt;", '>' => "&gt;", '&' => "&amp;", '"' => "&quot;", '\'' => "&#39;",
                        _ => null };
                if (entity is null) Result._text.Append(c);
                else Result._text.Append(entity);
            }
        }

        public void AppendFormatted<T>(T value, string? format = null) where T : IFormattable =>
            AppendFormatted(value.ToString(format, CultureInfo.InvariantCulture));
    }
}
