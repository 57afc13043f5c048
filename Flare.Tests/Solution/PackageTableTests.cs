using System.Xml.Linq;

namespace Flare.Tests.Solution;

/// <summary>What each package may use, as ARCHITECTURE.md draws it: nothing points back.</summary>
public class PackageTableTests
{
    // Package -> the packages of Flare that it may reference, directly or through them.
    private static readonly Dictionary<string, string[]> May = new()
    {
        ["Flare.Core"] = [],
        ["Flare.Runtime"] = ["Flare.Core"],
        ["Flare.Workflows"] = ["Flare.Core"],
        ["Flare.Learning"] = ["Flare.Workflows", "Flare.Core"],
        ["Flare.Crypto"] = ["Flare.Core"],
        ["Flare.Reporting"] = ["Flare.Core"],
        ["Flare.Transport"] = ["Flare.Core", "Flare.Runtime"],
        ["Flare.Provisioning"] = ["Flare.Transport"],
        ["Flare.Testing"] = ["Flare.Core", "Flare.Runtime", "Flare.Transport"],
        ["Flare.Sdk"] =
        ["Flare.Runtime", "Flare.Workflows", "Flare.Learning", "Flare.Crypto", "Flare.Reporting", "Flare.Core"],
    };

    // Whose internals whom: design.md, section 1. Tests and benchmarks see all of them.
    private static readonly Dictionary<string, string[]> Internals = new()
    {
        ["Flare.Core"] = ["Flare.Runtime"],
        ["Flare.Runtime"] = ["Flare.Testing"],
        ["Flare.Transport"] = ["Flare.Testing"],
    };

    private static readonly string[] NotPackages = ["Flare.Tests", "Flare.Outside.Tests", "Flare.Benchmarks"];

    private static IEnumerable<string> Packages =>
        Directory.GetDirectories(Root, "Flare.*").Select(d => Path.GetFileName(d)!)
            .Where(n => File.Exists(Path.Combine(Root, n, n + ".csproj")) && !NotPackages.Contains(n));

    internal static string Root { get; } = FindRoot();

    [Test]
    public void Every_package_uses_only_what_the_table_allows()
    {
        Assert.That(Packages, Is.SubsetOf(May.Keys), "a new package needs its row here and in ARCHITECTURE.md");
        foreach (var package in Packages)
            Assert.That(
                Items(package, "ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Replace('\\', '/'))),
                Is.SubsetOf(May[package]), package);
    }

    [Test]
    public void Internals_are_seen_by_those_alone_whom_the_table_names()
    {
        foreach (var package in Packages)
            Assert.That(
                Items(package, "InternalsVisibleTo"), Is.SubsetOf(Internals.GetValueOrDefault(package, [])), package);
    }

    private static string[] Items(string package, string element) =>
        [.. XDocument.Load(Path.Combine(Root, package, package + ".csproj")).Descendants(element)
            .Select(e => (string)e.Attribute("Include")!)];

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(TestContext.CurrentContext.TestDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "Flare.Sdk.sln"))) folder = folder.Parent;
        return folder.FullName;
    }
}
