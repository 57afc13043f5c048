using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Flare.Provisioning;

/// <summary>Makes the kits, and starts the server and its sites as processes of this program.</summary>
internal static class Children
{
    /// <returns>The exit code: 0 where all of them have ended well.</returns>
    public static async Task<int> RunAsync(Study study, Options options)
    {
        var folder = Directory.CreateTempSubdirectory("two-processes-").FullName;
        try
        {
            var kits = Provision(study, folder);
            var server = Start(options, "server", kits["server"]);
            var sites = study.Sites.Select(s => Start(options, "site", kits[s])).ToArray();
            await server.WaitForExitAsync();
            // A server that has failed leaves nobody to tell the sites that it is over.
            foreach (var site in sites)
            {
                if (server.ExitCode != 0) site.Kill();
                await site.WaitForExitAsync();
            }
            return server.ExitCode != 0 ? server.ExitCode : sites.Select(s => s.ExitCode).FirstOrDefault(c => c != 0);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // What the study's office does once, on a machine of its own: an authority, and a kit for each member.
    private static Dictionary<string, string> Provision(Study study, string folder)
    {
        var project = ProjectFile.Parse($"""
            project: digits-study
            server:
              name: server
              addresses: [ "flare://127.0.0.1:{FreePort()}" ]
            sites: [ {string.Join(", ", study.Sites)} ]
            """);
        using var provisioner = Provisioner.Open(Path.Combine(folder, "authority"));
        var made = provisioner.Provision(project, Path.Combine(folder, "kits"));
        return made.Created.ToDictionary(f => Path.GetFileNameWithoutExtension(f)!);
    }

    private static Process Start(Options options, string role, string kit)
    {
        string[] arguments =
        [
            "--role", role, "--kit", kit, "--sites", $"{options.Sites}", "--rounds", $"{options.Rounds}",
            "--seed", $"{options.Seed}",
            .. options.Json && role == "server" ? ["--json"] : Array.Empty<string>(),
            .. options.Journal is { } journal && role == "server" ? ["--journal", journal] : Array.Empty<string>(),
        ];
        var program = Path.Combine(AppContext.BaseDirectory, "TwoProcesses");
        if (OperatingSystem.IsWindows()) program += ".exe";
        return Process.Start(new ProcessStartInfo(program, arguments))!;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
