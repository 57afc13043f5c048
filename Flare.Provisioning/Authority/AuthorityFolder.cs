using System.Text;
using System.Text.Json;
using Flare.Transport;

namespace Flare.Provisioning;

/// <summary>A certificate authority's folder: what it remembers, its roots' keys, the newest roster.</summary>
internal sealed class AuthorityFolder : IDisposable
{
    private const string Format = "flare-authority/1";

    private readonly string _path;
    private readonly FileStream _lock;

    public AuthorityFolder(string path)
    {
        _path = Path.GetFullPath(path);
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(_path);
        else
        {
            Directory.CreateDirectory(
                _path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        try
        {
            _lock = new(InFolder("authority.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(InFolder("authority.lock")))
        {
            throw new FlareException(
                ErrorIds.Identity, $"The certificate authority in {_path} is at work in another process.", e);
        }
    }

    public string RosterPath => InFolder("roster.json");

    public AuthorityFile? Read()
    {
        var path = InFolder("authority.json");
        if (!File.Exists(path)) return null;
        try
        {
            var file = JsonSerializer.Deserialize(File.ReadAllBytes(path), ProvisioningJson.Default.AuthorityFile);
            if (file?.Format == Format && file.Roots.Count > 0) return file;
            throw new FlareException(
                ErrorIds.Identity, $"{path} cannot be used: it is of a format that this version does not read.");
        }
        catch (JsonException e)
        {
            throw new FlareException(ErrorIds.Identity, $"{path} cannot be used: it is damaged.", e);
        }
    }

    public static AuthorityFile New(ProjectFile project) => new()
    {
        Format = Format, Project = project.Project, CertificateDays = project.CertificateDays, Keys = project.Keys,
        ServerName = project.Server.Name, Addresses = [], Hosts = [], Roots = [], Members = [], Issued = [],
        Tokens = [],
    };

    public void Write(AuthorityFile file) => SecretFile.Write(
        InFolder("authority.json"),
        JsonSerializer.SerializeToUtf8Bytes(file, ProvisioningJson.Default.AuthorityFile), overwrite: true);

    public void WriteRoster(Roster roster) => SecretFile.Write(RosterPath, roster.Write(), overwrite: true);

    public void WriteKey(int root, string pem) =>
        SecretFile.Write(InFolder($"root-{root}.key"), Encoding.ASCII.GetBytes(pem), overwrite: false);

    /// <summary>A root's key that a run left which died before it was of use.</summary>
    public bool HasKey(int root) => File.Exists(InFolder($"root-{root}.key"));

    public MemberKey ReadKey(int root, string? passphrase)
    {
        var path = InFolder($"root-{root}.key");
        return MemberKey.Read(File.ReadAllText(path), passphrase, path);
    }

    public void WriteCertificate(string name, string pem) =>
        SecretFile.Write(InFolder(name), Encoding.ASCII.GetBytes(pem), overwrite: true);

    public void Dispose() => _lock.Dispose();

    private string InFolder(string name) => Path.Combine(_path, name);
}
