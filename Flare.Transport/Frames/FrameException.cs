namespace Flare.Transport;

/// <summary>A connection is gone, or what was to be sent on it was refused.</summary>
public sealed class FrameException : FlareException
{
    /// <summary>Creates an error.</summary>
    /// <param name="errorId">One of <see cref="ErrorIds"/>.</param>
    /// <param name="message">What happened, to what, and what to do.</param>
    /// <param name="isTransient">Whether trying again can succeed.</param>
    /// <param name="inner">The cause, if another exception was.</param>
    public FrameException(string errorId, string message, bool isTransient, Exception? inner = null)
        : base(errorId, message, inner) => IsTransient = isTransient;

    /// <inheritdoc/>
    public override bool IsTransient { get; }
}
