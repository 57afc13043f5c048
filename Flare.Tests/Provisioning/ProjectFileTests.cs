using System.Text;
using Flare.Provisioning;

namespace Flare.Tests.Provisioning;

/// <summary>Project files: what is wrong is said at once, with its line.</summary>
public class ProjectFileTests
{
    private const string Good = """
        project: digits-study
        keys: rsa-3072
        rootYears: 5
        certificateDays: 90
        server:
          name: server
          addresses: [flare://flare.example.org:8002, wss://flare.example.org/flare]
          hosts: [10.0.0.5, flare.internal]
        sites:
          - hospital-1
          - name: Krankenhaus Süd
            key: site
        """;

    [Test]
    public void A_project_file_is_read()
    {
        var project = ProjectFile.Parse(Good);
        Assert.That((project.Project, project.Keys, project.RootYears, project.CertificateDays),
            Is.EqualTo(("digits-study", KeyKind.Rsa3072, 5, 90)));
        Assert.That(project.Server.Addresses.Select(a => a.OriginalString),
            Is.EqualTo(new[] { "flare://flare.example.org:8002", "wss://flare.example.org/flare" }));
        Assert.That(project.Server.Hosts, Is.EqualTo(new[] { "10.0.0.5", "flare.internal" }));
        Assert.That(project.Sites,
            Is.EqualTo(new ProjectSite[] { new("hospital-1", false), new("Krankenhaus Süd", true) }));
    }

    [Test]
    public void Defaults_hold_where_nothing_is_said()
    {
        var project = ProjectFile.Parse("project: p\nserver: {name: s, addresses: 'flare://h:1'}\nsites: [a]");
        Assert.That(
            (project.Keys, project.RootYears, project.CertificateDays), Is.EqualTo((KeyKind.EcdsaP256, 10, 365)));
    }

    [Test]
    public void Everything_that_is_wrong_is_said_with_its_line()
    {
        var error = Assert.Throws<FlareException>(() => ProjectFile.Parse("""
            project: " digits"
            keys: dsa
            certificateDays: 9999
            colour: red
            server:
              addresses:
                - http://example.org
                - flare://example.org:8002
              hosts: [a_b!, 10.0.0.5]
            sites:
              - hospital-1
              - name: hospital-1
                key: none
              - {key: kit}
              - []
            """, "project.yml"))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        foreach (var expected in new[]
        {
            "project.yml: line 1: A name must not be blank", "line 2: 'keys' is 'dsa'", "line 3: 'certificateDays'",
            "line 4: the project has no 'colour'", "line 6: 'name' is missing", "line 7: 'http://example.org'",
            "line 9: 'a_b!'", "line 12: 'hospital-1' is there twice", "line 13: 'key' is 'none'",
            "line 14: 'name' is missing", "line 15: a site must have members",
        })
            Assert.That(error.Message, Does.Contain(expected));
    }

    [TestCase("", "YAML document"), TestCase("a: [", "line"), TestCase("- a", "line 1: the project must have members")]
    [TestCase("project: p\nproject: q", "line 2"), TestCase("a: &x 1\nb: *x", "alias")]
    [TestCase("project: p\n---\nproject: q", "one YAML document"), TestCase("project: ~", "a text is due")]
    [TestCase("sites: []", "there is no site"), TestCase("sites: hospital-1", "must be a list")]
    public void What_is_no_project_is_refused(string yaml, string why) =>
        Assert.That(() => ProjectFile.Parse(yaml), Throws.TypeOf<FlareException>().With.Message.Contains(why));

    [Test]
    public void The_server_and_a_site_cannot_have_one_name() =>
        Assert.That(
            () => ProjectFile.Parse("project: p\nserver: {name: a, addresses: 'flare://h:1'}\nsites: [a]"),
            Throws.TypeOf<FlareException>().With.Message.Contains("both named 'a'"));

    [Test]
    public void A_million_brackets_are_refused_and_end_nothing()
    {
        foreach (var bracket in new[] { "[", "{", "- " })
            Assert.That(
                () => ProjectFile.Parse(string.Concat(Enumerable.Repeat(bracket, 400_000))),
                Throws.TypeOf<FlareException>());
    }

    [Test]
    public void Mutated_files_are_refused_in_one_way()
    {
        const string odd = "\n\t -:[]{}&*!|>'\"%@`#,?\0\ud800éa1";
        var random = new Random(3);
        var read = 0;
        for (var i = 0; i < 5000; i++)
        {
            var text = new StringBuilder(Good);
            for (var changes = random.Next(1, 5); changes > 0; changes--)
            {
                var at = random.Next(text.Length);
                if (random.Next(3) == 0) text.Remove(at, Math.Min(random.Next(1, 20), text.Length - at));
                else text[at] = odd[random.Next(odd.Length)];
            }
            try
            {
                ProjectFile.Parse(text.ToString());
                read++;
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Configuration));
            }
        }
        Assert.That(read, Is.InRange(1, 4000));
    }
}
