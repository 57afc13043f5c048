using System.Diagnostics;
using System.Globalization;
using Flare.Learning;
using Flare.Transport;

/// <summary>The trainers' processes, one a site, with the sockets and the data that they are given.</summary>
internal sealed class Trainers(string python, Dataset[] shards) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("other-language-").FullName;
    private readonly Process?[] _processes = new Process?[shards.Length];

    /// <summary>Where a site listens for its trainer.</summary>
    public SocketTransport Socket(int site) => SocketTransport.Unix(SocketPath(site));

    /// <summary>Starts a site's trainer, with its share of the digits in a file.</summary>
    public void Start(int site)
    {
        var data = Path.Combine(_folder, $"{site}.csv");
        if (!File.Exists(data)) File.WriteAllLines(data, Rows(shards[site]));
        var script = Path.Combine(AppContext.BaseDirectory, "trainer.py");
        _processes[site] = Process.Start(new ProcessStartInfo(python, [script, SocketPath(site), data]));
    }

    /// <summary>Ends a site's trainer as a power cut would, and starts it again.</summary>
    public async Task RestartAsync(int site)
    {
        using (var process = _processes[site]!)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
        Start(site);
    }

    /// <summary>Whether all of them have ended well, which they do once their sites are done.</summary>
    public async Task<bool> HaveEndedWellAsync()
    {
        foreach (var process in _processes) await process!.WaitForExitAsync();
        return _processes.All(p => p!.ExitCode == 0);
    }

    public void Dispose()
    {
        foreach (var process in _processes)
        {
            if (process is { HasExited: false }) process.Kill();
            process?.Dispose();
        }
        Directory.Delete(_folder, recursive: true);
    }

    private string SocketPath(int site) => Path.Combine(_folder, $"{site}.sock");

    // A row for each digit: its 64 pixels, and what it is.
    private static IEnumerable<string> Rows(Dataset shard) => Enumerable.Range(0, shard.Count).Select(i =>
        string.Join(',', shard.Features(i).ToArray().Select(v => v.ToString("R", CultureInfo.InvariantCulture)))
        + Invariant($",{shard.Label(i)}"));
}
