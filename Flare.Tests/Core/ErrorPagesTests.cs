using System.Reflection;

namespace Flare.Tests.Core;

/// <summary>Every error leads to a page that says what to do.</summary>
public class ErrorPagesTests
{
    internal static string[] Ids =>
        [.. typeof(ErrorIds).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Select(f => (string)f.GetRawConstantValue()!)];

    // The pages lie beside the tests: a build server's compiler hides where the sources are.
    internal static string Pages => Path.Combine(AppContext.BaseDirectory, "docs", "errors");

    [TestCaseSource(nameof(Ids))]
    public void Every_error_id_has_a_page_with_an_example_and_what_to_do(string id)
    {
        var page = Path.Combine(Pages, $"{id}.md");
        Assert.That(page, Does.Exist);
        var lines = File.ReadAllLines(page);
        Assert.That(lines[0], Does.StartWith($"# {id}: "));
        Assert.That(lines, Has.Some.StartsWith("> ").And.Some.EqualTo("What to do:").And.Some.StartsWith("- "));
        Assert.That(lines, Has.Length.InRange(8, 30));
        Assert.That(new FlareException(id, "x").HelpLink, Is.EqualTo($"docs/errors/{id}.md"));
    }

    [Test]
    public void No_page_is_without_its_error_and_ids_are_unique()
    {
        Assert.That(Directory.GetFiles(Pages).Select(Path.GetFileNameWithoutExtension), Is.EquivalentTo(Ids));
        Assert.That(Ids, Is.Unique);
    }
}
