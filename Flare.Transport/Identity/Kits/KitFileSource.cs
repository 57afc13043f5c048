using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// The identity of a kit's file, which may change while the process runs. Connections that are open go on; new ones use
/// what is newest.
/// </summary>
internal sealed class KitFileSource : IdentitySource
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

    public KitFileSource(string path, string? passphrase, TimeSpan interval, TimeProvider time, ILogger logger)
    {
        (_path, _passphrase, _time, _logger) = (path, passphrase, time, logger);
        _kitBytes = ReadFile(path, StartupKit.MaxBytes);
        _current = FlareIdentity.Load(StartupKit.Parse(_kitBytes, $"The startup kit {path}"), passphrase);
        WarnOfReaders();
        try
        {
            Refresh();
            _timer = time.CreateTimer(_ => Look(), null, interval, interval);
        }
        catch
        {
            _current.Dispose();
            throw;
        }
    }

    public override FlareIdentity Current => _current;

    private protected override ILogger Logger => _logger;

    public override bool Refresh()
    {
        bool isChanged;
        lock (_lock)
        {
            if (_isDisposed) return false;
            isChanged = Try(TakeKit) | Try(TakeRosterFile);
            WarnOfExpiry();
        }
        if (isChanged) TellChanged();
        return isChanged;
    }

    public override bool TakeRoster(ReadOnlySpan<byte> utf8)
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
        TellChanged();
        return true;
    }

    public override void Dispose()
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

    // Nobody is above it: what it let through would end the process.
    private void Look()
    {
        try
        {
            Refresh();
        }
        catch (Exception e)
        {
            IdentityLog.LookFailed(_logger, _path, e);
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
        var renewal = StartupKit.Parse(bytes, $"The startup kit {_path}");
        var kit = _current.Kit.Renew(renewal);
        var next = FlareIdentity.Load(kit, _passphrase);
        _before.Add(_current);
        _current = next;
        _kitBytes = renewal.PrivateKey is null && kit.PrivateKey is not null ? KeepWhole(kit, bytes) : bytes;
        _warned = DateTimeOffset.MinValue;
        IdentityLog.KitTaken(
            _logger, next.Member.ToString(), Words.At(next.Certificate.NotAfter.ToUniversalTime()),
            next.Roster.Version);
        WarnOfReaders();
        return true;
    }

    // A renewal that brings no key has overwritten the file that had it: the next start needs both.
    private byte[] KeepWhole(StartupKit kit, byte[] renewal)
    {
        var whole = kit.Write();
        try
        {
            SecretFile.Write(_path, whole, overwrite: true);
            return whole;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            IdentityLog.KeyNotKept(_logger, _path, e.Message);
            return renewal;
        }
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
        if (IdentityLog.WarnOfExpiry(_logger, _current, now)) _warned = now;
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
