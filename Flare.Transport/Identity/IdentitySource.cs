using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>
/// The identity of a kit's file, which may change while the process runs: a renewed kit or a newer roster that is put
/// in its place is taken, if whom the kit before trusts has signed it. Connections that are open go on; new ones use
/// what is newest. Safe to use from several threads.
/// </summary>
public sealed class IdentitySource : IDisposable
{
    private readonly string _path;
    private readonly string? _passphrase;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly List<FlareIdentity> _before = []; // open connections may use them still
    private readonly ITimer _timer;
    private volatile FlareIdentity _current;
    private byte[] _kitBytes, _rosterBytes = [];
    private string? _failure;
    private DateTimeOffset _warned = DateTimeOffset.MinValue;
    private bool _isDisposed;

    private IdentitySource(string path, string? passphrase, TimeSpan interval, TimeProvider time, ILogger logger)
    {
        (_path, _passphrase, _time, _logger) = (path, passphrase, time, logger);
        _kitBytes = ReadFile(path, StartupKit.MaxBytes);
        _current = FlareIdentity.Load(StartupKit.Parse(_kitBytes, $"The startup kit {path}"), passphrase);
        WarnOfReaders();
        try
        {
            Refresh();
            _timer = time.CreateTimer(_ => Refresh(), null, interval, interval);
        }
        catch
        {
            _current.Dispose();
            throw;
        }
    }

    /// <summary>What is added to the kit's name for the file in which a newer roster is kept.</summary>
    public const string RosterSuffix = ".roster";

    /// <summary>The newest identity; disposed of with the source.</summary>
    public FlareIdentity Current => _current;

    /// <summary>Comes after <see cref="Current"/> has changed, or its roster; on any thread.</summary>
    public event Action<FlareIdentity>? Changed;

    /// <summary>Opens a kit's file and keeps an eye on it, and on the roster's file beside it.</summary>
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
        return new(
            path, passphrase, often, time ?? TimeProvider.System,
            (logging ?? NullLoggerFactory.Instance).CreateLogger<IdentitySource>());
    }

    /// <summary>Looks at the files now.</summary>
    /// <returns>Whether anything was taken.</returns>
    public bool Refresh()
    {
        bool isChanged;
        lock (_lock)
        {
            if (_isDisposed) return false;
            isChanged = Try(TakeKit) | Try(TakeRosterFile);
            WarnOfExpiry();
        }
        if (isChanged) Changed?.Invoke(_current);
        return isChanged;
    }

    /// <summary>Takes a roster that came over the network, and keeps it beside the kit for the next start.</summary>
    /// <returns>False where it is the one that is known already.</returns>
    /// <exception cref="FlareException">It is no roster, of another project, older, or not signed by whom the kit
    /// trusts.</exception>
    public bool TakeRoster(ReadOnlySpan<byte> utf8)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (!_current.TakeRoster(utf8)) return false;
            IdentityLog.RosterTaken(_logger, _current.Member.ToString(), _current.Roster.Version);
            try
            {
                var bytes = utf8.ToArray();
                SecretFile.Write(_path + RosterSuffix, bytes, overwrite: true);
                _rosterBytes = bytes;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                IdentityLog.RosterNotKept(_logger, _path + RosterSuffix, e.Message);
            }
        }
        Changed?.Invoke(_current);
        return true;
    }

    /// <summary>Stops looking, and disposes of all identities that the source has had.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isDisposed) return;
            _isDisposed = true;
            _timer.Dispose();
            foreach (var identity in _before) identity.Dispose();
            _current.Dispose();
        }
    }

    private bool Try(Func<bool> take)
    {
        try
        {
            var isTaken = take();
            if (isTaken) _failure = null;
            return isTaken;
        }
        catch (Exception e) when (e is FlareException or IOException or UnauthorizedAccessException)
        {
            if (_failure != e.Message) IdentityLog.NotTaken(_logger, _current.Member.ToString(), e.Message);
            _failure = e.Message; // said once, not every minute
            return false;
        }
    }

    private bool TakeKit()
    {
        var bytes = ReadFile(_path, StartupKit.MaxBytes);
        if (bytes.AsSpan().SequenceEqual(_kitBytes)) return false;
        var kit = _current.Kit.Renew(StartupKit.Parse(bytes, $"The startup kit {_path}"));
        var next = FlareIdentity.Load(kit, _passphrase);
        _before.Add(_current);
        _current = next;
        _kitBytes = bytes;
        _warned = DateTimeOffset.MinValue;
        IdentityLog.KitTaken(
            _logger, next.Member.ToString(), Words.At(next.Certificate.NotAfter.ToUniversalTime()),
            next.Roster.Version);
        WarnOfReaders();
        return true;
    }

    private bool TakeRosterFile()
    {
        var path = _path + RosterSuffix;
        if (!File.Exists(path)) return false;
        var bytes = ReadFile(path, Roster.MaxBytes);
        if (bytes.AsSpan().SequenceEqual(_rosterBytes)) return false;
        var roster = Roster.Parse(bytes, _current.Kit.TrustRoots, $"The roster {path}");
        // A kit that was put there later may have a newer one: this file is what is left of the time before.
        var isNewer = roster.Version > _current.Roster.Version && _current.TakeRoster(roster);
        _rosterBytes = bytes;
        if (isNewer) IdentityLog.RosterTaken(_logger, _current.Member.ToString(), roster.Version);
        return isNewer;
    }

    private void WarnOfExpiry()
    {
        var now = _time.GetUtcNow();
        if (now - _warned < TimeSpan.FromDays(1)) return;
        DateTimeOffset from = _current.Certificate.NotBefore.ToUniversalTime();
        DateTimeOffset until = _current.Certificate.NotAfter.ToUniversalTime();
        var early = TimeSpan.FromTicks(Math.Min((until - from).Ticks / 4, TimeSpan.FromDays(30).Ticks));
        if (now < until - early) return;
        _warned = now;
        IdentityLog.Expires(_logger, _current.Member.ToString(), now < until ? "expires" : "expired", Words.At(until));
    }

    private void WarnOfReaders()
    {
        if (OperatingSystem.IsWindows() || _current.Kit.PrivateKey is null || _current.Kit.IsKeyEncrypted) return;
        const UnixFileMode others = UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        if ((File.GetUnixFileMode(_path) & others) != 0) IdentityLog.OthersMayRead(_logger, _path);
    }

    private static byte[] ReadFile(string path, int most)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        if (stream.Length > most) throw Words.Refuse(path, $"it has {stream.Length} bytes, of at most {most}");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}

/// <summary>What is logged of identities; event ids 5050 to 5069.</summary>
internal static partial class IdentityLog
{
    [LoggerMessage(5050, LogLevel.Information,
        "{Member} has a renewed startup kit: its certificate holds until {Until}, the roster is version {Roster}")]
    public static partial void KitTaken(ILogger logger, string member, string until, long roster);

    [LoggerMessage(5051, LogLevel.Information, "{Member} has version {Version} of the roster")]
    public static partial void RosterTaken(ILogger logger, string member, long version);

    [LoggerMessage(5052, LogLevel.Warning, "{Member} goes on with what it has: {Reason}")]
    public static partial void NotTaken(ILogger logger, string member, string reason);

    [LoggerMessage(5053, LogLevel.Warning,
        "A newer roster could not be kept in {Path}, so the next start will not know it: {Reason}")]
    public static partial void RosterNotKept(ILogger logger, string path, string reason);

    [LoggerMessage(5054, LogLevel.Warning,
        "The certificate of {Member} {Expires} on {Until}: ask the project's operator for a renewed kit, and put it in "
            + "the place of this one")]
    public static partial void Expires(ILogger logger, string member, string expires, string until);

    [LoggerMessage(5055, LogLevel.Warning,
        "{Path} has a private key in the clear, and others may read it: chmod 600, or encrypt the key")]
    public static partial void OthersMayRead(ILogger logger, string path);
}
