using System.Text.RegularExpressions;

namespace Flare.Tests.Solution;

/// <summary>Code has at most 120 columns, as .editorconfig says and no compiler checks.</summary>
public partial class ColumnTests
{
    private const int Most = 120;

    [Test]
    public void No_line_of_code_is_longer()
    {
        var wide = Sources().SelectMany(Wide).Select(l => $"{l.File}:{l.Number}").ToArray();
        Assert.That(wide, Is.Empty, "break the line; what cannot be broken is a word or text between triple quotes");
    }

    // What no line break can shorten: one literal without a space, and raw text. Pages' code stands in their tests
    // as it does there.
    private static IEnumerable<(string File, int Number)> Wide(string file)
    {
        var number = 0;
        var isRaw = false;
        foreach (var line in File.ReadLines(file))
        {
            number++;
            var quotes = RawQuotes().Count(line);
            if (line.Length > Most && !isRaw && quotes == 0 && !Word().IsMatch(line))
                yield return (Path.GetRelativePath(PackageTableTests.Root, file), number);
            if (quotes % 2 == 1) isRaw = !isRaw;
        }
    }

    private static IEnumerable<string> Sources() =>
        Directory.EnumerateFiles(PackageTableTests.Root, "*.cs", SearchOption.AllDirectories).Where(f =>
            !f.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or ".git")
            && !f.Contains(Path.Combine("Flare.Tests", "Docs"), StringComparison.Ordinal));

    [GeneratedRegex("\"\"\"")]
    private static partial Regex RawQuotes();

    [GeneratedRegex("^\\s*(\\+ )?\\$?\"[^ \"]+\"[);,]*$")]
    private static partial Regex Word();
}
