using System.Globalization;

namespace Flare.Transport;

/// <summary>Looks at the clock when a site's hours change, and in between, should the clock have been set.</summary>
internal sealed class HoursWatch : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(10);

    private readonly SiteHours _hours;
    private readonly TimeZoneInfo _zone;
    private readonly TimeProvider _time;
    private readonly Action<string?> _change;
    private volatile ITimer? _timer;
    private bool? _wasOpen;
    private volatile bool _isOver;

    /// <param name="hours">The hours.</param>
    /// <param name="time">The clock.</param>
    /// <param name="change">Told at once, and whenever it changes, why the site is to pause; null where it is not.
    /// </param>
    public HoursWatch(SiteHours hours, TimeProvider time, Action<string?> change)
    {
        (_hours, _zone, _time, _change) = (hours, hours.TimeZone ?? time.LocalTimeZone, time, change);
        Look();
    }

    // Without a lock, which whoever is told may hold: what comes late tells nobody, and rings once more at most.
    public void Dispose()
    {
        _isOver = true;
        _timer?.Dispose();
    }

    private void Look()
    {
        if (_isOver) return;
        var now = _time.GetUtcNow();
        var isOpen = _hours.Contain(now, _zone);
        var next = _hours.NextChange(now, _zone);
        if (_wasOpen != isOpen) _change(isOpen ? null : Reason(next));
        _wasOpen = isOpen;
        var due = next - now;
        _timer?.Dispose();
        _timer = _time.CreateTimer(
            static w => ((HoursWatch)w!).Look(), this, due < Longest ? due : Longest, Timeout.InfiniteTimeSpan);
    }

    private string Reason(DateTimeOffset next) => string.Create(
        CultureInfo.InvariantCulture,
        $"outside its hours, {_hours.Describe(_zone)}; again from {next:yyyy-MM-dd HH:mm zzz}");
}
