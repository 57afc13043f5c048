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
        if (options.Kill) options = options with { Journal = options.Journal ?? Path.Combine(folder, "journal") };
        var port = FreePort();
        await using var proxy = options.Cut ? new CuttingProxy(port) : null;
        options = options with { Through = proxy?.Port };
        var sites = new List<Process>();
        try
        {
            var kits = Provision(study, folder, port);
            foreach (var site in study.Sites) sites.Add(Start(options, "site", kits[site]));
            var server = Start(options, "server", kits["server"]);
            if (options.Kill)
            {
                // The signal that nobody can catch, once a round is on disk: what a power cut does.
                await RoundOnDiskAsync(options.Journal!, server);
                sites[0].Kill();
                sites[0] = Start(options, "site", kits[study.Sites[0]]);
                server.Kill();
                await server.WaitForExitAsync();
                Console.WriteLine($"killed: {study.Sites[0]} and the server; started again");
                server = Start(options, "server", kits["server"]);
            }
            await server.WaitForExitAsync();
            if (server.ExitCode != 0) return server.ExitCode;
            // The server tells them; one that cannot be told is not waited for.
            await Task.WhenAll(sites.Select(s => s.WaitForExitAsync())).WaitAsync(TimeSpan.FromMinutes(1));
            if (proxy is not null) Console.Error.WriteLine($"cut: {proxy.Cuts} connections");
            return sites.Select(s => s.ExitCode).FirstOrDefault(c => c != 0);
        }
        catch (TimeoutException)
        {
            Console.Error.WriteLine("The server has ended well, and a site has not heard of it within a minute.");
            return 1;
        }
        finally
        {
            // A server that has failed leaves nobody to tell the sites that it is over.
            foreach (var site in sites.Where(s => !s.HasExited)) site.Kill();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task RoundOnDiskAsync(string journal, Process server)
    {
        while (!server.HasExited
            && !(Directory.Exists(journal) && Directory.EnumerateFiles(journal, "model-*.safetensors").Any()))
            await Task.Delay(20);
    }

    // What the study's office does once, on a machine of its own: an authority, and a kit for each member.
    private static Dictionary<string, string> Provision(Study study, string folder, int port)
    {
        var project = ProjectFile.Parse($"""
            project: digits-study
            server:
              name: server
              addresses: [ "flare://127.0.0.1:{port}" ]
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
            .. options.Leave ? ["--leave"] : Array.Empty<string>(),
            .. options.Through is { } port && role == "site" ? ["--through", $"{port}"] : Array.Empty<string>(),
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
