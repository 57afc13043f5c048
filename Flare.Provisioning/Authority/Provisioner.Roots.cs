namespace Flare.Provisioning;

// Roots, and their change.
public sealed partial class Provisioner
{
    /// <summary>
    /// Begins to change the root: a new one is made, and the one before signs it too. From now on certificates, kits
    /// and rosters are the new one's; members who know only the one before believe them for the cross-signature. Renew
    /// all kits while the old root holds, then <see cref="RetireOldRoot"/>.
    /// </summary>
    /// <param name="years">How long the new root holds, 1 to 30 years.</param>
    /// <exception cref="FlareException">A change is under way already.</exception>
    public void RotateRoot(int years = 10)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(years, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(years, 30);
        if (State.Roots.Count > 1)
        {
            throw new FlareException(
                ErrorIds.Identity, "The root is being changed already: renew the kits, then retire the old root.");
        }
        var (before, beforeKey) = (Root, _rootKey!);
        var number = State.Roots[^1].Number + 1;
        var key = RootKey(number, State.Keys);
        var root = Provisioning.Certificates.Root(key, State.Project, number, Now, years);
        using (var cross = Provisioning.Certificates.Cross(root, before, beforeKey))
        {
            State.Roots.Add(new(number, root.ExportCertificatePem(), cross.ExportCertificatePem()));
            _folder.WriteCertificate($"cross-{number}.crt", cross.ExportCertificatePem());
        }
        _folder.WriteCertificate($"root-{number}.crt", root.ExportCertificatePem());
        beforeKey.Dispose();
        _roots.Add(root);
        _rootKey = key;
        Commit(always: true);
    }

    /// <summary>
    /// Ends a change of roots: the old one is trusted in kits no more. Renew all kits once again afterwards, at
    /// leisure. Its key's file stays; destroy it.
    /// </summary>
    /// <param name="force">Whether to do so though members still have certificates of the old root alone: those who
    /// get a new kit will refuse them.</param>
    /// <exception cref="FlareException">There is no old root, or members still depend on it.</exception>
    public void RetireOldRoot(bool force = false)
    {
        if (State.Roots.Count < 2) throw new FlareException(ErrorIds.Identity, "There is no old root to retire.");
        var now = Now;
        var behind = State.Members.Select(m => m.Name).Where(name => State.Issued.LastOrDefault(
            i => i.Name == name && i.Revoked is null && HoldsAt(i, now)) is { } last && !IsOfRoot(last)).ToArray();
        if (behind.Length > 0 && !force)
        {
            throw new FlareException(
                ErrorIds.Identity, $"The old root cannot be retired yet: {string.Join(", ", behind.Take(10))}"
                    + $"{(behind.Length > 10 ? $" and {behind.Length - 10} more" : "")} still have certificates of it. "
                    + "Renew them.");
        }
        foreach (var old in _roots[..^1]) old.Dispose();
        _roots.RemoveRange(0, _roots.Count - 1);
        State.Roots.RemoveRange(0, State.Roots.Count - 1);
        State.Roots[0] = State.Roots[0] with { Cross = null };
        Commit(always: true);
    }

    private void Begin(ProjectFile project)
    {
        var key = RootKey(1, project.Keys);
        var root = Provisioning.Certificates.Root(key, project.Project, 1, Now, project.RootYears);
        _folder.WriteCertificate("root-1.crt", root.ExportCertificatePem());
        _roots.Add(root);
        _rootKey = key;
        _state = AuthorityFolder.New(project);
        _state.Roots.Add(new(1, root.ExportCertificatePem(), null));
    }

    // A key that is there is one of a run that died before it was of use: it is taken, and never written over.
    private MemberKey RootKey(int number, KeyKind kind)
    {
        if (_folder.HasKey(number)) return _folder.ReadKey(number, _passphrase);
        var key = MemberKey.Generate(kind);
        _folder.WriteKey(number, key.Write(_passphrase));
        return key;
    }

    private bool IsOfRoot(IssuedEntry entry)
    {
        using var certificate = Load(entry.Certificate);
        return certificate.Issuer == Root.Subject;
    }
}
