namespace Flare;

/// <summary>How much of an error at a site the server gets to read.</summary>
public enum ErrorDetail
{
    /// <summary>The exception's type and a reference number, by which the site's own log has the rest.</summary>
    TypeOnly = 0,
    /// <summary>Type and message, with the reference number.</summary>
    Message = 1,
    /// <summary>Type, message and stack; in one process the exception itself.</summary>
    Full = 2,
}

/// <summary>
/// What a site lets out, by its own decision: no job can change it. It is looked at after the last filter, so it holds
/// whatever executors and filters do.
/// </summary>
/// <remarks>
/// Texts of errors may hold data ("cannot parse 'Erika Mustermann'"), so a site lets out as little of them as
/// <see cref="Errors"/> says: of exceptions, of error replies that an executor makes, and of the reason of
/// <see cref="FLContext.Panic"/>. What the site's code sends by <see cref="FLContext.FireFederated"/> is its own words,
/// and goes as it is or, with <see cref="MayFireEvents"/> off, not at all. Public properties, metrics and tensors are
/// for filters.
/// </remarks>
public sealed record SitePolicy
{
    /// <summary>How much of an error leaves. <see cref="ErrorDetail.TypeOnly"/> unless set.</summary>
    public ErrorDetail Errors { get; init; } = ErrorDetail.TypeOnly;

    /// <summary>The kinds of data that may leave; null for all, which it is unless set. An answer of another kind, or
    /// that is no DXO, stays.</summary>
    public IReadOnlyList<DataKind>? Kinds { get; init; }

    /// <summary>Answers with tensors that state fewer training steps (<see cref="MetaKey.NumStepsCurrentRound"/>), or
    /// none at all, stay: what was learned from very few examples may tell them. 0, for no bound, unless set.</summary>
    public long LeastSteps { get; init; }

    /// <summary>Whether tensors leave only encrypted: marked as such by the outermost filter
    /// (<see cref="MetaKey.ProcessedAlgorithm"/>), in parts of bytes, and without the tensors that they stand for
    /// (<see cref="MetaKey.ProcessedKeys"/>). Off unless set.</summary>
    public bool RequiresEncryption { get; init; }

    /// <summary>Whether <see cref="FLContext.FireFederated"/> may send events to the server. On unless set; a panic
    /// stops the job all the same.</summary>
    public bool MayFireEvents { get; init; } = true;

    /// <summary>Whether the site's operator approves a job before the site runs a task of it. Off unless set.</summary>
    public bool RequiresApproval { get; init; }

    /// <summary>
    /// The policy of a site that shares its process with the server, where there is no border: everything.
    /// </summary>
    public static SitePolicy InProcess { get; } = new() { Errors = ErrorDetail.Full };

    /// <summary>What is wrong with the policy; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        if (!Enum.IsDefined(Errors))
            yield return $"{nameof(Errors)} is {Errors}; it must be one of {nameof(ErrorDetail)}";
        if (LeastSteps < 0) yield return $"{nameof(LeastSteps)} is {LeastSteps}; it must not be negative";
        if (Kinds is { Count: 0 })
            yield return $"{nameof(Kinds)} is empty, so no answer may leave; name some, or leave it null";
    }

    /// <summary>The policy in words.</summary>
    internal string Describe() =>
        $"errors {Errors}, kinds {(Kinds is null ? "all" : string.Join("|", Kinds))}, least steps {LeastSteps}, "
        + $"encrypted only {(RequiresEncryption ? "yes" : "no")}, events {(MayFireEvents ? "yes" : "no")}, "
        + $"approval {(RequiresApproval ? "yes" : "no")}";

    internal void ThrowIfInvalid()
    {
        string[] errors = [.. Validate()];
        if (errors.Length > 0)
            throw new FlareException(
                ErrorIds.Configuration, $"The site's policy cannot be: {string.Join("; ", errors)}.");
    }

    /// <summary>Why an answer may not leave; null where it may.</summary>
    internal string? Refusal(Shareable answer)
    {
        if (Kinds is null && LeastSteps == 0 && !RequiresEncryption) return null;
        var data = answer.ContentType == ContentTypes.Dxo ? Dxo.From(answer) : null;
        if (Kinds is not null && (data is null || !Kinds.Contains(data.Kind)))
            return $"{(data is null ? "an answer that is no DXO" : $"data of kind {data.Kind}")} does not leave it "
                + $"({nameof(Kinds)}: {string.Join(", ", Kinds)})";
        if (answer.TensorBytes() == 0) return null;
        if (RequiresEncryption && (data is null || !IsEncrypted(data)))
            return $"tensors leave it encrypted only ({nameof(RequiresEncryption)}); "
                + "give the site the federation's encryption";
        if (LeastSteps == 0) return null;
        var steps = data is not null && data.TryGetMeta(MetaKey.NumStepsCurrentRound, out var value)
            && value.Kind == FlareValueKind.Integer ? value.AsInteger() : 0;
        return steps >= LeastSteps ? null
            : $"tensors of {steps} training steps do not leave it ({nameof(LeastSteps)}: {LeastSteps})";
    }

    // The headers alone say nothing: an executor can set them. Encrypted tensors are parts of bytes, and those that
    // they stand for are not there.
    private static bool IsEncrypted(Dxo data)
    {
        if (!data.TryGetMeta(MetaKey.ProcessedAlgorithm, out var algorithm) || algorithm.Kind != FlareValueKind.Text
            || !data.TryGetMeta(MetaKey.ProcessedKeys, out var keys) || keys.Kind != FlareValueKind.List
            || !data.HasTensors) return false;
        var names = keys.AsList().Where(k => k.Kind == FlareValueKind.Text).Select(k => k.AsText()).ToHashSet();
        var layout = data.Tensors.Layout;
        return names.Count > 0 && layout.Any(t => t is { DType: DType.UInt8, Shape.Length: 1 })
            && !layout.Any(t => names.Contains(t.Name));
    }

    /// <summary>As much of an error as may leave.</summary>
    /// <param name="error">The error; its type counts as no data.</param>
    /// <param name="reference">By which the site's log has the rest.</param>
    internal ErrorRecord Trim(ErrorRecord error, string reference) => Errors switch
    {
        ErrorDetail.Full => error,
        ErrorDetail.Message =>
        error with { Message = $"{error.Message} (reference {reference})", Stack = "", Exception = null },
        _ => error with
        {
            Message = $"the site's log has the rest, by reference {reference}",
            Stack = "",
            Exception = null,
        },
    };
}
