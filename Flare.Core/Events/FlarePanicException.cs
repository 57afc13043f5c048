namespace Flare;

/// <summary>A component stopped the job (<see cref="FLContext.Panic"/>). Code after the call does not run.</summary>
public sealed class FlarePanicException(string message) : FlareException(ErrorIds.Panic, message);
