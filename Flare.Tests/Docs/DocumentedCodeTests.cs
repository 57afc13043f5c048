namespace Flare.Tests.Docs;

/// <summary>The code that pages show is code that compiles, and that these tests run.</summary>
public class DocumentedCodeTests
{
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Docs");

    private static string[] Lines(string text) => [.. text.Split('\n').Select(l => l.Trim().Replace("private sealed ", "").Replace("internal sealed ", "").Replace("public sealed ", "")).Where(l => l.Length > 0)];

    private static IEnumerable<string> Blocks(string page) => page.Split("```csharp")[1..].Select(rest => rest.Split("```")[0]);

    [TestCase("writing-trainers.md", "WritingTrainersTests.cs", 3)]
    [TestCase("writing-workflows.md", "WritingWorkflowsTests.cs", 5)]
    [TestCase("writing-algorithms.md", "WritingWorkflowsTests.cs", 2)]
    [TestCase("recipes.md", "RecipesTests.cs", 6)]
    [TestCase("streaming-rounds.md", "StreamingRoundsTests.cs", 4)]
    [TestCase("journal.md", "JournalPageTests.cs", 1)]
    [TestCase("site-state.md", "SiteStatePageTests.cs", 2)]
    [TestCase("provisioning.md", "ProvisioningPageTests.cs", 8)]
    [TestCase("transport.md", "TransportPageTests.cs", 7)]
    [TestCase("other-languages.md", "OtherLanguagesPageTests.cs", 1)]
    [TestCase("encryption.md", "EncryptionTests.cs", 7)]
    [TestCase("Flare.Crypto.md", "EncryptionTests.cs", 2)]
    public void Every_block_of_code_is_in_a_test_line_by_line(string page, string source, int blocks)
    {
        var compiled = string.Join('\n', Lines(File.ReadAllText(Path.Combine(Folder, source)))) + "\n";
        var shown = Blocks(File.ReadAllText(Path.Combine(Folder, page))).ToArray();
        Assert.That(shown, Has.Length.EqualTo(blocks));
        foreach (var block in shown)
            Assert.That(compiled, Does.Contain("\n" + string.Join('\n', Lines(block)) + "\n"), block);
    }

    [Test]
    public void The_READMEs_program_is_in_a_test_but_for_its_file()
    {
        var shown = Blocks(File.ReadAllText(Path.Combine(Folder, "README.md"))).Single();
        Assert.That(shown.Trim().Split('\n'), Has.Length.AtMost(25));
        var compiled = Lines(File.ReadAllText(Path.Combine(Folder, "ReadmeTests.cs")));
        Assert.That(Lines(shown).Except(compiled), Is.EqualTo(new[] { "using Flare;", "await federation.Model.SaveAsync(\"digits.safetensors\");         // opens in Python, too" }));
    }

    [TestCase("writing-trainers.md"), TestCase("writing-workflows.md"), TestCase("writing-algorithms.md"), TestCase("recipes.md")]
    public void Pages_are_short(string page) => Assert.That(File.ReadAllLines(Path.Combine(Folder, page)), Has.Length.LessThan(120));
}
