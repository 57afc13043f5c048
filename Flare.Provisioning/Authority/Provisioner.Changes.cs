using Flare.Transport;

namespace Flare.Provisioning;

// Certificates that end.
public sealed partial class Provisioner
{
    /// <summary>
    /// Renews a member's certificate. With the key that it has, the kit brings none and need not be kept secret: the
    /// member joins it with its own (<see cref="StartupKit.Renew"/>, or its <see cref="IdentitySource"/> does). The
    /// certificate before holds until it expires.
    /// </summary>
    /// <param name="name">The member.</param>
    /// <returns>The kit, to be saved or sent.</returns>
    /// <exception cref="FlareException">It is no member, has no certificate yet, or its last one is revoked: it needs a
    /// new key.</exception>
    public StartupKit Renew(string name)
    {
        var member = MemberOf(name);
        if (State.Issued.LastOrDefault(i => i.Name == name) is not { } last)
            throw Refuse(name, "it has no certificate yet: run the provisioner, or enrol the site");
        if (last.Revoked is not null)
            throw Refuse(name, "its last certificate is revoked: renew it with a new key, or enrol the site again");
        using var certificate = Load(last.Certificate);
        var entry = Certify(certificate.PublicKey, new(RoleOf(member.Role), name));
        Commit();
        return KitOf(entry, null);
    }

    /// <summary>Makes a member a new key and a certificate for it. What it has besides holds until it expires or is
    /// revoked.</summary>
    /// <param name="name">The member.</param>
    /// <param name="passphrase">What the key is encrypted with; null leaves it in the clear.</param>
    /// <returns>The kit; it has the key, and is a secret of the member.</returns>
    /// <exception cref="FlareException">It is no member, or makes its own keys.</exception>
    public StartupKit RenewWithNewKey(string name, string? passphrase = null)
    {
        var member = MemberOf(name);
        if (member.MakesOwnKey) throw Refuse(name, "it makes its own keys: give it a token, and let it enrol again");
        using var key = MemberKey.Generate(State.Keys);
        var entry = Certify(key.PublicKey, new(RoleOf(member.Role), name));
        Commit();
        return KitOf(entry, key.Write(passphrase));
    }

    /// <summary>
    /// Revokes all certificates that a member has: nobody who has the new roster believes it until it has another key.
    /// Give the server the roster's file; sites get it from the server.
    /// </summary>
    /// <param name="name">The member.</param>
    /// <param name="reason">Why; whoever refuses it will read it. At most 200 characters.</param>
    /// <returns>The new roster.</returns>
    /// <exception cref="FlareException">It has none that hold.</exception>
    /// <exception cref="ArgumentException">The reason is longer.</exception>
    public Roster Revoke(string name, string? reason = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (reason?.Length > 200) throw new ArgumentException("A reason has at most 200 characters.", nameof(reason));
        var now = Now;
        var holding = State.Issued.Where(i => i.Name == name && i.Revoked is null && HoldsAt(i, now)).ToArray();
        if (holding.Length == 0) throw Refuse(name, "it has no certificate that holds, so there is none to revoke");
        foreach (var entry in holding) (entry.Revoked, entry.Reason) = (now, reason);
        Commit();
        return _roster!;
    }

    private static bool HoldsAt(IssuedEntry entry, DateTimeOffset now)
    {
        using var certificate = Load(entry.Certificate);
        return UntilOf(certificate) > now;
    }

    private static FlareException Refuse(string name, string why) =>
        new(ErrorIds.Identity, $"The authority can do nothing for '{name}': {why}.");
}
