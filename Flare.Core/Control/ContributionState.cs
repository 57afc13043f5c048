namespace Flare;

/// <summary>How far a contribution has come.</summary>
public enum ContributionState
{
    /// <summary>Admitted: it may be used, or refused after all.</summary>
    Admitted = 0,
    /// <summary>The workflow has made it part of its result; it cannot be refused any more.</summary>
    Used = 1,
    /// <summary>It was refused; the reason is in the round's report.</summary>
    Refused = 2,
    /// <summary>The stream has moved on, and nobody retained it: its tensors are gone.</summary>
    Over = 3,
}
