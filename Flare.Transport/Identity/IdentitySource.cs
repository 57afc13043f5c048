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
    /// anew, and end where one is refused by now. A handler that throws is logged; the others hear of it all the same.
    /// </summary>
    public event Action<FlareIdentity>? Changed;

    /// <summary>
    /// Opens a kit's file and keeps an eye on it, and on the roster's file beside it. A renewed kit or a newer roster
    /// that is put in its place is taken, if whom the kit before trusts has signed it; the identities are disposed of
    /// with the source.
    /// </summary>
    /// <param name="path">The kit's file.</param>
    /// <param name="passphrase">The key's passphrase; a renewed kit must have the same.</param>
    /// <param name="interval">How often to look: at least once a day, each minute unless given.</param>
    /// <param name="time">The clock; the system's unless given.</param>
    /// <param name="logging">Where to log: what is taken, what is refused and why, and a certificate that will soon
    /// expire; also what becomes of the connections of a server or a site that is given the source, unless its
    /// <see cref="SocketOptions.Logging"/> says where.</param>
    /// <exception cref="FlareException">It is no kit, was changed, or its key cannot be opened.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static IdentitySource Open(
        string path, string? passphrase = null, TimeSpan? interval = null, TimeProvider? time = null,
        ILoggerFactory? logging = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var often = interval ?? TimeSpan.FromMinutes(1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(often, TimeSpan.Zero, nameof(interval));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(often, Times.Longest, nameof(interval));
        return new KitFileSource(
            path, passphrase, often, time ?? TimeProvider.System,
            (logging ?? NullLoggerFactory.Instance).CreateLogger<IdentitySource>()) { Logging = logging };
    }

    /// <summary>
    /// An identity whose roster alone may change; it stays the caller's. The same source for each identity, for as long
    /// as that lives; to dispose of it does nothing.
    /// </summary>
    /// <param name="identity">The identity.</param>
    /// <param name="logging">Where to log a handler of <see cref="Changed"/> that throws; the first that is given
    /// counts, and nowhere if none is.</param>
    public static IdentitySource Of(FlareIdentity identity, ILoggerFactory? logging = null)
    {
        ArgumentNullException.ThrowIfNull(identity);
        var source = identity.Source;
        if (logging is not (null or NullLoggerFactory)) source.LogTo(logging);
        return source;
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

    /// <summary>Where to log.</summary>
    private protected abstract ILogger Logger { get; }

    private ILoggerFactory? Logging { get; init; }

    /// <summary>Options that log where the source does, unless they say where.</summary>
    internal SocketOptions Logged(SocketOptions? options)
    {
        options ??= new();
        return Logging is null || options.Logging is not NullLoggerFactory ? options
            : options with { Logging = Logging };
    }

    /// <summary>Tells whoever listens, each by itself: one that throws keeps no other from hearing; never under a
    /// lock.</summary>
    private protected void TellChanged()
    {
        var identity = Current;
        foreach (var handler in Changed?.GetInvocationList() ?? [])
        {
            try
            {
                ((Action<FlareIdentity>)handler)(identity);
            }
            catch (Exception e) // of the application: on a timer's thread it would end the process
            {
                IdentityLog.HandlerFailed(Logger, identity.Member.ToString(), e);
            }
        }
    }

    /// <summary>The source of one identity, made and kept by it.</summary>
    internal sealed class Fixed(FlareIdentity identity) : IdentitySource
    {
        private ILogger? _logger;

        public override FlareIdentity Current => identity;

        private protected override ILogger Logger => _logger ?? NullLogger.Instance;

        public void LogTo(ILoggerFactory logging)
        {
            if (_logger is null) Interlocked.CompareExchange(ref _logger, logging.CreateLogger<IdentitySource>(), null);
        }

        public void Tell() => TellChanged();

        public override bool TakeRoster(ReadOnlySpan<byte> utf8) => identity.TakeRoster(utf8);

        // Others use it, too.
        public override void Dispose()
        {
        }
    }
}
