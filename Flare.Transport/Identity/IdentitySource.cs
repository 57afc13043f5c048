using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>
/// Who this process is, as connections ask for it: at each handshake the newest identity, while a renewed certificate,
/// a new root or a newer roster may come at any time. Safe to use from several threads.
/// </summary>
public abstract class IdentitySource : IDisposable
{
    /// <summary>What is added to the kit's name for the file in which a newer roster is kept.</summary>
    public const string RosterSuffix = ".roster";

    private protected IdentitySource()
    {
    }

    /// <summary>The newest identity.</summary>
    public abstract FlareIdentity Current { get; }

    /// <summary>
    /// Comes after <see cref="Current"/> has changed, or its roster; on any thread. Connections look at their peers
    /// anew, and end where one is refused by now.
    /// </summary>
    public event Action<FlareIdentity>? Changed;

    /// <summary>
    /// Opens a kit's file and keeps an eye on it, and on the roster's file beside it. A renewed kit or a newer roster
    /// that is put in its place is taken, if whom the kit before trusts has signed it; the identities are disposed of
    /// with the source.
    /// </summary>
    /// <param name="path">The kit's file.</param>
    /// <param name="passphrase">The key's passphrase; a renewed kit must have the same.</param>
    /// <param name="interval">How often to look; a minute unless given.</param>
    /// <param name="time">The clock; the system's unless given.</param>
    /// <param name="logging">Where to log: what is taken, what is refused and why, and a certificate that will soon
    /// expire.</param>
    /// <exception cref="FlareException">It is no kit, was changed, or its key cannot be opened.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static IdentitySource Open(
        string path, string? passphrase = null, TimeSpan? interval = null, TimeProvider? time = null,
        ILoggerFactory? logging = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var often = interval ?? TimeSpan.FromMinutes(1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(often, TimeSpan.Zero, nameof(interval));
        return new KitFileSource(
            path, passphrase, often, time ?? TimeProvider.System,
            (logging ?? NullLoggerFactory.Instance).CreateLogger<IdentitySource>());
    }

    /// <summary>An identity whose roster alone may change; it stays the caller's.</summary>
    /// <param name="identity">The identity.</param>
    public static IdentitySource Of(FlareIdentity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        return new Fixed(identity);
    }

    /// <summary>Looks now whether there is something newer.</summary>
    /// <returns>Whether anything was taken.</returns>
    public virtual bool Refresh() => false;

    /// <summary>Takes a roster that came over the network; a source of a file keeps it for the next start.</summary>
    /// <param name="utf8">Its file.</param>
    /// <returns>False where it is the one that is known already.</returns>
    /// <exception cref="FlareException">It is no roster, of another project, older, or not signed by whom the kit
    /// trusts.</exception>
    public abstract bool TakeRoster(ReadOnlySpan<byte> utf8);

    /// <summary>Stops looking.</summary>
    public abstract void Dispose();

    /// <summary>Tells whoever listens; never under a lock.</summary>
    private protected void TellChanged() => Changed?.Invoke(Current);

    private sealed class Fixed : IdentitySource
    {
        public Fixed(FlareIdentity identity)
        {
            Current = identity;
            identity.RosterTaken += TellChanged;
        }

        public override FlareIdentity Current { get; }

        public override bool TakeRoster(ReadOnlySpan<byte> utf8) => Current.TakeRoster(utf8);

        public override void Dispose() => Current.RosterTaken -= TellChanged;
    }
}
