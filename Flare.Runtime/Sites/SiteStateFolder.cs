using System.Security.Cryptography;
using System.Text;

namespace Flare.Runtime;

/// <summary>Where a site's states lie, until the site opens it and takes it over.</summary>
internal sealed record SiteStateFolder(string Folder, bool StartsOver)
{
    private const int MostName = 150; // of 255 that file systems take

    /// <summary>The folder of one site among those of a federation.</summary>
    public SiteStateFolder Of(string site) => this with { Folder = Path.Combine(Folder, NameOf(site)) };

    /// <summary>Opens the folder of a job.</summary>
    /// <exception cref="FlareException">Somebody else has it open.</exception>
    public async Task<IJournalStorage> OpenAsync(string job, string site, ComputeScheduler compute)
    {
        var path = Path.Combine(Folder, NameOf(job));
        try
        {
            return await DirectoryJournalStorage.OpenAsync(path, compute);
        }
        catch (FlareException e) when (e.InnerException is IOException)
        {
            throw new FlareException(ErrorIds.SiteState, $"The state of {site} cannot be opened: '{path}' is in use by "
                + "another site or another process. Stop that one first, or give each site a folder of its own.", e);
        }
    }

    // Names may hold what paths may not.
    private static string NameOf(string name)
    {
        var escaped = Uri.EscapeDataString(name);
        if (escaped.Length > MostName)
            escaped = $"{escaped[..60]}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))}";
        return escaped.Trim('.').Length == 0 ? escaped.Replace(".", "%2E", StringComparison.Ordinal) : escaped;
    }
}
