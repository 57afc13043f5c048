using System.Diagnostics;
using Flare.Tests.Federations;

namespace Flare.Tests.Samples;

/// <summary>The samples' command lines, in processes of their own.</summary>
public class CommandLineTests
{
    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-sample-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private async Task<(int Exit, string Out, string Error)> RunAsync(string sample, params string[] args)
    {
        static string Beside(string file) => Path.Combine(AppContext.BaseDirectory, file);
        // With the tests' frameworks: what ASP.NET Core brings does not lie beside them, and the sample's own list
        // lacks it.
        string[] line =
        [
            "exec", "--runtimeconfig", Beside("Flare.Tests.runtimeconfig.json"), "--depsfile",
            Beside("Flare.Tests.deps.json"),
            Beside($"{sample}.dll"), .. args,
        ];
        var start = new ProcessStartInfo("dotnet", line)
        {
            WorkingDirectory = _directory, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        try
        {
            using var patience = new CancellationTokenSource(Patience.Long);
            var output = process.StandardOutput.ReadToEndAsync(patience.Token);
            var error = process.StandardError.ReadToEndAsync(patience.Token);
            await process.WaitForExitAsync(patience.Token);
            return (process.ExitCode, await output, await error);
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    [TestCase("Quickstart", "--journal needs a value", "--journal", "--json")]
    [TestCase("Quickstart", "--journal needs a value", "--rounds", "1", "--journal")]
    [TestCase("Quickstart", "--rounds needs a value", "--rounds", "--sites", "2")]
    [TestCase("Quickstart", "--alpha needs a number above 0", "--alpha", "-1")]
    [TestCase("Quickstart", "--alpha needs a number above 0", "--rounds", "1", "--alpha", "0,5")]
    [TestCase("Quickstart", "--alpha needs a number above 0", "--alpha", "1.000,5")]
    [TestCase("Quickstart", "--alpha needs a number above 0", "--alpha", "NaN")]
    [TestCase("Quickstart", "--rounds needs a whole number from 1 to 10000", "--rounds", "1,000")]
    [TestCase("Quickstart", "--sites needs a whole number from 1 to 100", "--sites", "1,0")]
    [TestCase("Quickstart", "--seed needs a whole number from 0 to 2147483647", "--seed", "4.0")]
    [TestCase("EncryptedFederation", "--rounds needs a whole number from 1 to 10000", "--rounds", "1,0")]
    [TestCase("EncryptedFederation", "--scheme is exact or ckks", "--scheme", "paillier")]
    [TestCase("Quickstart", "--resume needs --journal DIR", "--resume")]
    [TestCase("EncryptedFederation", "--scheme needs a value", "--scheme", "--json")]
    [TestCase("EncryptedFederation", "--seed needs a value", "--seed")]
    [TestCase("EncryptedFederation", "--sites needs a whole number from 1 to 100", "--sites", "101")]
    public async Task A_command_line_that_makes_no_sense_is_refused_with_the_reason(
        string sample, string reason, params string[] args)
    {
        var (exit, output, error) = await RunAsync(sample, args);
        Assert.That(error.Trim(), Is.EqualTo($"{reason}; see --help"));
        Assert.That((exit, output), Is.EqualTo((2, "")));
        Assert.That(Directory.EnumerateFileSystemEntries(_directory), Is.Empty);
    }

    [Test]
    public async Task A_journal_of_a_complete_job_is_told_again_with_what_to_do()
    {
        string[] line = ["--rounds", "1", "--sites", "2", "--journal", "job"];
        var first = await RunAsync("Quickstart", line);
        Assert.That((first.Exit, first.Error), Is.EqualTo((0, "")));
        Assert.That(first.Out, Does.Not.Contain("Nothing was trained"));
        Assert.That((await RunAsync("Quickstart", line)).Error, Does.StartWith("'job' is not empty; add --resume"));
        var again = await RunAsync("Quickstart", [.. line, "--resume"]);
        Assert.That(again.Exit, Is.Zero);
        Assert.That(
            again.Out,
            Does.Contain(
                "Nothing was trained: the job in 'job' was complete after round 1, as shown above. To train again, "
                    + "name a folder that does not exist yet: --journal DIR, without --resume."));
    }
}
