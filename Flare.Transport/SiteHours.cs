namespace Flare.Transport;

/// <summary>
/// When a site works: every day from one time to another, by the clock on the operator's wall. A window may pass
/// midnight (20:00 to 06:00). Where a zone changes its time, the wall's clock counts: a night is an hour shorter or
/// longer then, and a time that the clock leaves out or shows twice is what it shows.
/// </summary>
public sealed record SiteHours
{
    // A window, and what is between two, are at least as long: they cannot be missed.
    private static readonly TimeSpan Step = TimeSpan.FromMinutes(5);

    /// <summary>When work may begin; midnight unless set.</summary>
    public TimeOnly From { get; init; }

    /// <summary>When it ends; before <see cref="From"/> it is the next day's.</summary>
    public TimeOnly To { get; init; }

    /// <summary>Whose clock; that of the site's own clock (<see cref="TimeProvider.LocalTimeZone"/>) unless set.
    /// </summary>
    public TimeZoneInfo? TimeZone { get; init; }

    /// <summary>Whether a task that runs at the end of the hours is to stop, and begin anew in the next; otherwise it
    /// ends. Off unless set.</summary>
    public bool StopsRunningTasks { get; init; }

    /// <summary>Everything that is wrong with the hours; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        var open = To - From; // counted onwards, over midnight
        if (open < Step || TimeSpan.FromDays(1) - open < Step)
        {
            yield return $"{nameof(From)} is {From:HH\\:mm} and {nameof(To)} {To:HH\\:mm}; hours, and what is between "
                + $"them, must be at least {Step.TotalMinutes} minutes, and a site without hours always works";
        }
    }

    /// <summary>Whether the site may work at a moment.</summary>
    /// <param name="now">The moment.</param>
    public bool Contain(DateTimeOffset now) => Contain(now, TimeZone ?? TimeZoneInfo.Local);

    /// <summary>The next moment at which the hours begin or end.</summary>
    /// <param name="after">What it is after.</param>
    public DateTimeOffset NextChange(DateTimeOffset after) => NextChange(after, TimeZone ?? TimeZoneInfo.Local);

    internal bool Contain(DateTimeOffset now, TimeZoneInfo zone) =>
        TimeOnly.FromDateTime(TimeZoneInfo.ConvertTime(now, zone).DateTime).IsBetween(From, To);

    // By looking at the clock: arithmetic with the zone's changes has more cases than a day has steps.
    internal DateTimeOffset NextChange(DateTimeOffset after, TimeZoneInfo zone)
    {
        var now = Contain(after, zone);
        var low = after.UtcDateTime;
        while (Contain(low + Step, zone) == now) low += Step;
        var high = low + Step;
        while (high.Ticks - low.Ticks > 1)
        {
            var middle = low + (high - low) / 2;
            if (Contain(middle, zone) == now) low = middle;
            else high = middle;
        }
        return TimeZoneInfo.ConvertTime(new DateTimeOffset(high, TimeSpan.Zero), zone);
    }

    internal string Describe(TimeZoneInfo zone) => string.Create(
        System.Globalization.CultureInfo.InvariantCulture, $"{From:HH\\:mm} to {To:HH\\:mm} ({zone.Id})");
}
