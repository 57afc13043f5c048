using Microsoft.Extensions.Logging;

namespace Flare.Transport;

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
        "The certificate of {Member} {Expires}: ask the project's operator for a renewed kit, and put it in the place "
            + "of this one")]
    public static partial void Expires(ILogger logger, string member, string expires);

    [LoggerMessage(5055, LogLevel.Warning,
        "{Path} has a private key in the clear, and others may read it: chmod 600, or encrypt the key")]
    public static partial void OthersMayRead(ILogger logger, string path);

    [LoggerMessage(5056, LogLevel.Warning, "The roster of {Peer} is not taken, and the connection goes on: {Reason}")]
    public static partial void RosterRefused(ILogger logger, string peer, string reason);

    [LoggerMessage(5057, LogLevel.Warning,
        "{Peer} does not take version {Version} of the roster, and the connection goes on: {Reason}")]
    public static partial void RosterNotWanted(ILogger logger, string peer, long version, string reason);

    [LoggerMessage(5058, LogLevel.Warning,
        "{Peer} has another version {Version} of the roster than this end: ask the certificate authority, who should "
            + "have signed only one")]
    public static partial void RostersDiffer(ILogger logger, string peer, long version);

    [LoggerMessage(5059, LogLevel.Information, "{Peer} has brought version {Version} of the roster")]
    public static partial void RosterBrought(ILogger logger, string peer, long version);

    [LoggerMessage(5060, LogLevel.Error,
        "The renewed kit in {Path} has no key, and the one in use could not be put into it, so the next start will "
            + "fail: keep the old kit, and join both (StartupKit.Renew): {Reason}")]
    public static partial void KeyNotKept(ILogger logger, string path, string reason);

    [LoggerMessage(5061, LogLevel.Error,
        "A handler of IdentitySource.Changed threw when {Member} had changed; the other handlers were called")]
    public static partial void HandlerFailed(ILogger logger, string member, Exception error);

    [LoggerMessage(5062, LogLevel.Error,
        "{Path} could not be looked at for what is newer; what is known stays, and it is tried again")]
    public static partial void LookFailed(ILogger logger, string path, Exception error);

    /// <summary>Warns where a certificate has little time left: a quarter of its time, at most 30 days.</summary>
    /// <returns>Whether it was so.</returns>
    public static bool WarnOfExpiry(ILogger logger, FlareIdentity identity, DateTimeOffset now)
    {
        DateTimeOffset from = identity.Certificate.NotBefore.ToUniversalTime();
        DateTimeOffset until = identity.Certificate.NotAfter.ToUniversalTime();
        var early = TimeSpan.FromTicks(Math.Min((until - from).Ticks / 4, TimeSpan.FromDays(30).Ticks));
        var left = until - now;
        if (left > early) return false;
        Expires(logger, identity.Member.ToString(), left <= TimeSpan.Zero
            ? $"expired on {Words.At(until)}, and peers refuse it" : $"expires in {Rough(left)}, on {Words.At(until)}");
        return true;
    }

    private static string Rough(TimeSpan left) => left.TotalDays >= 2 ? Invariant($"{left.Days} days")
        : left.TotalHours >= 2 ? Invariant($"{(int)left.TotalHours} hours")
        : Invariant($"{(int)left.TotalMinutes} minutes");
}
