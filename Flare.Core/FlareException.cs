namespace Flare;

/// <summary>
/// The base of all errors that Flare itself raises. Misuse of an API throws the usual CLR exceptions instead.
/// </summary>
public class FlareException : Exception
{
    /// <summary>Creates an error.</summary>
    /// <param name="errorId">One of <see cref="ErrorIds"/>.</param>
    /// <param name="message">What happened, to what, and what to do.</param>
    /// <param name="inner">The cause, if another exception was.</param>
    public FlareException(string errorId, string message, Exception? inner = null)
        : base(WithId(message, errorId), inner)
    {
        ErrorId = errorId;
        HelpLink = $"docs/errors/{errorId}.md";
    }

    /// <summary>The error's stable id, such as <c>FLARE1001</c>; docs/errors has a page for each.</summary>
    public string ErrorId { get; }

    /// <summary>Whether trying the same again, unchanged, can succeed.</summary>
    public virtual bool IsTransient => false;

    // The message of a cause is often part of the message, with its id: each id is said once, the error's own last.
    private static string WithId(string message, string errorId)
    {
        var id = $" [{errorId}]";
        return message?.Replace(id, "", StringComparison.Ordinal) + id;
    }
}
