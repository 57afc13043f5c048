namespace Flare;

/// <summary>A component stopped the job (<see cref="FLContext.Panic"/>). Code after the call does not run.</summary>
public sealed class FlarePanicException : FlareException
{
    internal FlarePanicException(string origin, string reason)
        : base(ErrorIds.Panic, $"{origin} stopped the job: {reason}") => (Origin, Reason) = (origin, reason);

    /// <summary>Who stopped it: <c>server</c>, or the site's name.</summary>
    public string Origin { get; }

    /// <summary>Why.</summary>
    public string Reason { get; }
}
