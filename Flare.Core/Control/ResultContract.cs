namespace Flare;

/// <summary>What an answer to a task must be like to be admitted. What it refuses it names, with the reason, in the round's report.</summary>
public sealed record ResultContract
{
    /// <summary>The kinds admitted; empty for messages of any content.</summary>
    public IReadOnlyList<DataKind> Kinds { get; init; } = [];

    /// <summary>The layout that the tensors of a DXO must have; null for any.</summary>
    public TensorLayout? Layout { get; init; }

    /// <summary>Whether a site may leave tensors out (those it sends must match <see cref="Layout"/>); they are then averaged over the sites that send them.</summary>
    public bool AllowMissingTensors { get; init; }

    /// <summary>Whether all tensors of the message must be free of NaN and infinities; true unless set.</summary>
    public bool RequireFinite { get; init; } = true;

    /// <summary>Whether the answer must state <see cref="MetaKey.NumStepsCurrentRound"/>, at least 1.</summary>
    public bool RequireNumSteps { get; init; }

    /// <summary>A rule of the workflow's own: the reason to refuse, or null to admit. It runs on the job's loop; keep it short.</summary>
    public Func<Contribution, string?>? Rule { get; init; }

    /// <summary>The reason to refuse, from all but the values of the tensors; null to admit.</summary>
    internal string? CheckShape(Contribution contribution)
    {
        if (Kinds.Count > 0)
        {
            if (contribution.Data is not { } data) return $"it carries no DXO where one of kind {string.Join(" or ", Kinds)} is expected; answer with Dxo.ToShareable()";
            if (!Kinds.Contains(data.Kind)) return $"it is of kind {data.Kind} where {string.Join(" or ", Kinds)} is expected; have the executor answer with that kind, or the workflow expect what it sends";
        }
        if (Layout is not null && contribution.Data is { } any && (any.HasTensors || Kinds.Count > 0) && CheckLayout(any, Layout) is { } difference) return difference;
        if (RequireNumSteps && contribution.NumSteps is not >= 1)
            return $"it states {(contribution.NumSteps is { } n ? Invariant($"{n} training steps") : "no training steps")}; say how many all local epochs took, at least 1: .WithMeta(MetaKey.{nameof(MetaKey.NumStepsCurrentRound)}, n)";
        return Rule?.Invoke(contribution);
    }

    private string? CheckLayout(Dxo data, TensorLayout expected)
    {
        if (!data.HasTensors) return data.Kind is DataKind.Metrics ? null : "it carries no tensors; send those that the task brought";
        var actual = data.Tensors.Layout;
        if (!AllowMissingTensors)
            return actual.DifferenceFrom(expected) is { } difference ? $"its layout differs from the model's: {difference}; send the tensors that the task brought, in their order" : null;
        foreach (var spec in actual)
        {
            var index = expected.IndexOf(spec.Name);
            if (index < 0) return $"its tensor '{spec.Name}' is not in the model; leave it out";
            if (!expected[index].Equals(spec)) return $"its tensor '{spec.Name}' is {spec} where the model has {expected[index]}; send it with the model's type and shape";
        }
        return null;
    }
}
