using System.Diagnostics;
using System.Text.Json;

namespace Flare.Benchmarks.Durability;

/// <summary>
/// <c>kills [--times N] [--seed N]</c>: kills a journalled Quickstart at random moments with SIGKILL, starts it again
/// each time, and compares the final model with that of a run that nobody disturbed.
/// </summary>
internal static class KillCommand
{
    public static int Run(string[] args)
    {
        var times = Option(args, "--times", 50);
        var seed = Option(args, "--seed", 1);
        var quickstart = Path.Combine(AppContext.BaseDirectory, "Quickstart.dll");
        var folder = Directory.CreateTempSubdirectory("flare-kills");
        // Long enough that the kills fall into its rounds: it is started anew until it has been killed so often.
        string[] job = ["--json", "--rounds", "150", "--sites", "4"];

        Console.WriteLine("an undisturbed run …");
        var expected = Sha256Of(Start(quickstart, folder.FullName, job));
        Console.WriteLine($"  modelSha256 {expected}");

        var random = new Random(seed);
        var (kills, starts) = (0, 0);
        string? actual = null;
        while (actual is null)
        {
            using var process = Start(quickstart, folder.FullName, [.. job, "--journal", "journal", "--resume"]);
            starts++;
            if (kills < times && !process.WaitForExit(TimeSpan.FromMilliseconds(random.Next(300, 1200))))
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
                kills++;
                continue;
            }
            actual = Sha256Of(process);
        }
        Console.WriteLine(
            $"{kills} kills, {starts} starts\n  modelSha256 "
                + $"{actual}\n{(actual == expected ? "the same" : "DIFFERENT")}");
        folder.Delete(recursive: true);
        return actual == expected && kills == times ? 0 : 1;
    }

    private static Process Start(string program, string folder, string[] args)
    {
        var start = new ProcessStartInfo("dotnet") { WorkingDirectory = folder, RedirectStandardOutput = true };
        start.ArgumentList.Add(program);
        foreach (var argument in args) start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new InvalidOperationException("The Quickstart did not start.");
    }

    private static string Sha256Of(Process process)
    {
        var last = process.StandardOutput.ReadToEnd().TrimEnd().Split('\n')[^1];
        process.WaitForExit();
        return JsonDocument.Parse(last).RootElement.GetProperty("modelSha256").GetString()!;
    }

    private static int Option(string[] args, string name, int fallback)
    {
        var index = Array.IndexOf(args, name);
        return index >= 0 && index + 1 < args.Length
            ? int.Parse(args[index + 1], System.Globalization.CultureInfo.InvariantCulture) : fallback;
    }
}
