namespace Flare.Transport;

/// <summary>Bounds of the times that options name: what a timer takes, and no typing error for a year.</summary>
internal static class Times
{
    /// <summary>The longest.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>Why a time cannot be: it is not above zero, or longer than a day; null where it can.</summary>
    public static string? Fault(string name, TimeSpan value) => value > TimeSpan.Zero && value <= Longest ? null
        : $"{name} is {value}; it must be above zero, and at most a day";

    /// <summary>The same where zero is a time, too.</summary>
    public static string? FaultUnlessZero(string name, TimeSpan value) => value >= TimeSpan.Zero && value <= Longest
        ? null : $"{name} is {value}; it must be from 0 to a day";
}
