using Flare.Transport;

namespace Flare.Provisioning;

// Kits for who has none.
public sealed partial class Provisioner
{
    private const int MostFileName = 180;

    /// <summary>
    /// Makes the root if there is none, a kit for each member that never had a certificate, and a roster if it says
    /// something new. Kits that are in the folder get the roster; nothing else of them is touched, and no file with a
    /// key is ever replaced by another.
    /// </summary>
    /// <param name="project">The project.</param>
    /// <param name="kitFolder">Where kits are written: <c>hospital-1.json</c>, of other names percent-encoded. Each
    /// file is a secret of its member.</param>
    /// <param name="passphraseOf">With what the key of a member's kit is encrypted; null, or for whom it gives null,
    /// leaves the key in the clear.</param>
    /// <exception cref="FlareException">The folder is another project's, a name was somebody else's, or a file is in
    /// the way. Nothing is changed.</exception>
    /// <exception cref="IOException">Something cannot be written. The next run goes on from there.</exception>
    public ProvisioningResult Provision(
        ProjectFile project, string kitFolder, Func<string, string?>? passphraseOf = null)
    {
        ArgumentNullException.ThrowIfNull(project);
        ArgumentException.ThrowIfNullOrEmpty(kitFolder);
        var members = Members(project);
        if (_state is not null) Check(project, members);
        Directory.CreateDirectory(kitFolder);
        ForgetUnfinished();
        var missing = members.Where(m => !m.MakesOwnKey && _state?.Issued.Any(i => i.Name == m.Name) != true)
            .Select(m => (Member: m, Path: PathOf(kitFolder, m.Name))).ToArray();
        if (missing.FirstOrDefault(m => File.Exists(m.Path)) is { Path: { } path })
        {
            throw new FlareException(
                ErrorIds.Identity, $"{path} is in the way: it is not a kit that this authority has made. Move it.");
        }
        var warnings = new List<string>();
        if (_state is null) Begin(project);
        var removed = Settle(project, members, warnings);

        var made = new List<(IssuedEntry Entry, string Path, string Key)>();
        foreach (var (member, kit) in missing)
        {
            using var key = MemberKey.Generate(project.Keys);
            var entry = Certify(key.PublicKey, new(RoleOf(member.Role), member.Name));
            entry.Pending = Path.GetFullPath(kit);
            made.Add((entry, kit, key.Write(passphraseOf?.Invoke(member.Name))));
        }
        Commit();
        foreach (var (entry, kit, key) in made)
        {
            KitOf(entry, key).Save(kit);
            entry.Pending = null;
        }
        if (made.Count > 0) _folder.Write(State);
        GiveRoster(members, kitFolder, warnings);
        Warn(warnings);
        return new()
        {
            Created = [.. made.Select(m => m.Path)], Removed = removed, Warnings = warnings, Roster = _roster!,
            AwaitingEnrolment =
                [.. members.Where(m => m.MakesOwnKey && State.Issued.All(i => i.Name != m.Name)).Select(m => m.Name)],
        };
    }

    /// <summary>Where a member's kit is written.</summary>
    /// <param name="kitFolder">The folder.</param>
    /// <param name="name">The member's name.</param>
    public static string PathOf(string kitFolder, string name)
    {
        ArgumentNullException.ThrowIfNull(kitFolder);
        var file = Uri.EscapeDataString(name);
        if (file.Length > MostFileName)
        {
            var hash = System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name));
            file = $"{file[..MostFileName]}-{Convert.ToHexStringLower(hash.AsSpan(0, 8))}";
        }
        return Path.Combine(kitFolder, file + ".json");
    }

    private static MemberEntry[] Members(ProjectFile project) =>
    [
        new(project.Server.Name, nameof(FlareRole.Server), false),
        .. project.Sites.Select(s => new MemberEntry(s.Name, nameof(FlareRole.Site), s.MakesOwnKey)),
    ];

    private void Check(ProjectFile project, MemberEntry[] members)
    {
        if (project.Project != State.Project)
        {
            throw new FlareException(
                ErrorIds.Identity, $"The authority's folder is that of the project '{State.Project}', not of "
                + $"'{project.Project}': take another folder.");
        }
        foreach (var member in members)
        {
            if (State.Issued.FirstOrDefault(i => i.Name == member.Name) is not { } issued) continue;
            using var certificate = Load(issued.Certificate);
            if (NameOf(certificate).Role == RoleOf(member.Role)) continue;
            throw new FlareException(
                ErrorIds.Identity, $"'{member.Name}' was {NameOf(certificate)} in this project, and has a certificate "
                + "that says so: choose another name.");
        }
    }

    // A run died after it had made these: whether their kits were written shows in the folder.
    private void ForgetUnfinished()
    {
        foreach (var entry in _state?.Issued.Where(i => i.Pending is not null).ToArray() ?? [])
        {
            if (File.Exists(entry.Pending) && IsKitOf(entry)) entry.Pending = null;
            else State.Issued.Remove(entry);
        }
    }

    private static bool IsKitOf(IssuedEntry entry)
    {
        using var certificate = Load(entry.Certificate);
        try
        {
            return StartupKit.Load(entry.Pending!).Certificates[0].Span.SequenceEqual(certificate.RawDataMemory.Span);
        }
        catch (FlareException)
        {
            return false; // somebody else's file: it is in the way, and Provision says so
        }
    }

    private List<string> Settle(ProjectFile project, MemberEntry[] members, List<string> warnings)
    {
        var removed = State.Members.Select(m => m.Name).Except(members.Select(m => m.Name)).ToList();
        string[] addresses = [.. project.Server.Addresses.Select(a => a.OriginalString)];
        string[] hosts = [.. project.Server.Hosts];
        if (State.Issued.Count > 0 && !(State.Addresses.SequenceEqual(addresses) && State.Hosts.SequenceEqual(hosts)))
        {
            warnings.Add("The server's addresses have changed: kits that are out have the old ones, and the server's "
                + "certificate is for them. Renew the server's kit, then the sites'.");
        }
        (State.Members, State.Addresses, State.Hosts) = ([.. members], addresses, hosts);
        (State.ServerName, State.CertificateDays, State.Keys) =
            (project.Server.Name, project.CertificateDays, project.Keys);
        return removed;
    }

    private void GiveRoster(MemberEntry[] members, string kitFolder, List<string> warnings)
    {
        foreach (var member in members)
        {
            var path = PathOf(kitFolder, member.Name);
            if (!File.Exists(path)) continue;
            try
            {
                var kit = StartupKit.Load(path);
                if (kit.Roster.Version < _roster!.Version) kit.WithRoster(_roster).Save(path, overwrite: true);
            }
            catch (FlareException e)
            {
                warnings.Add($"A kit does not get the new roster: {e.Message}");
            }
        }
    }

    private void Warn(List<string> warnings)
    {
        var soon = TimeSpan.FromDays(Math.Max(1, State.CertificateDays / 4));
        foreach (var name in Due(soon))
        {
            warnings.Add(Invariant(
                $"The certificate of '{name}' expires within {soon.TotalDays:F0} days or has: renew it."));
        }
        if (UntilOf(Root) < Now.AddDays(2 * State.CertificateDays))
        {
            warnings.Add(Invariant(
                $"The root expires on {UntilOf(Root):yyyy-MM-dd}: change it (RotateRoot), then renew all kits."));
        }
    }
}
