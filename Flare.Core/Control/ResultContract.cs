namespace Flare;

/// <summary>
/// What an answer to a task must be like to be admitted. What it refuses it names, with the reason, in the round's
/// report.
/// </summary>
public sealed record ResultContract
{
    /// <summary>The kinds admitted; empty for messages of any content.</summary>
    public IReadOnlyList<DataKind> Kinds { get; init; } = [];

    /// <summary>The layout that the tensors of a DXO must have; null for any.</summary>
    public TensorLayout? Layout { get; init; }

    /// <summary>
    /// Whether a site may leave tensors out (those it sends must match <see cref="Layout"/>); they are then averaged
    /// over the sites that send them.
    /// </summary>
    public bool AllowMissingTensors { get; init; }

    /// <summary>Whether all tensors of the message must be free of NaN and infinities; true unless set.</summary>
    public bool RequireFinite { get; init; } = true;

    /// <summary>
    /// What a <see cref="DataKind.WeightDiff"/> will be added to: a difference that would take it beyond the range of
    /// its type is refused, as not finite. Null where that is not known.
    /// </summary>
    public StateDict? Base { get; init => (field, BaseRange) = (value, value is null ? null : new(value)); }

    /// <summary>Whether the answer must state <see cref="MetaKey.NumStepsCurrentRound"/>, at least 1.</summary>
    public bool RequireNumSteps { get; init; }

    /// <summary>
    /// A rule of the workflow's own: the reason to refuse, or null to admit. It runs on the job's loop; keep it short.
    /// </summary>
    public Func<Contribution, string?>? Rule { get; init; }

    /// <summary>
    /// What the named sets of tensors must be like that belong in the answer beside <see cref="Dxo.ModelSet"/>, which
    /// the other properties are about. Empty for plain answers.
    /// </summary>
    public IReadOnlyDictionary<string, ResultContract> Sets { get; init; } = new Dictionary<string, ResultContract>();

    private SumRange? BaseRange { get; init; }

    /// <summary>The reason to refuse, from all but the values of the tensors; null to admit.</summary>
    internal string? CheckShape(Contribution contribution)
    {
        if (Sets.Count == 0) return CheckSet(contribution);
        if (contribution.Data is not { } data)
            return $"it carries no DXO where {SetNames} are expected; answer with Dxo.ToShareable()";
        if (data.Sets.FirstOrDefault(name => name != Dxo.ModelSet && !Sets.ContainsKey(name)) is { } other)
            return $"it carries the set '{other}', which the task does not ask for; expected are {SetNames}";
        if ((this with { Sets = NoSets }).CheckMember(contribution, Dxo.ModelSet) is { } refusal) return refusal;
        foreach (var (name, contract) in Sets)
            if (contract.CheckMember(contribution, name) is { } reason)
                return data.TryGetSet(name, out _) ? $"of its set '{name}': {reason}" : reason;
        return null;
    }

    /// <summary>
    /// The reason to refuse, from the values of the tensors; null to admit. It reads all of them: for the compute
    /// scheduler.
    /// </summary>
    internal string? CheckValues(Contribution contribution)
    {
        if (!RequireFinite) return null;
        if (contribution.Data is not { } data) return NotFinite(contribution.Message.Body.FirstNonFiniteTensor());
        if (Sets.Count == 0 && BaseRange is not null && data is { Kind: DataKind.WeightDiff, HasTensors: true })
            return BaseRange.Check(data.Tensors)
                ?? NotFinite(data.Meta.FirstNonFiniteTensor() ?? data.Values.FirstNonFiniteTensor());
        if (NotFinite(data.FirstNonFiniteTensor()) is { } refusal) return refusal;
        foreach (var (name, contract) in Sets.Append(new(Dxo.ModelSet, this)))
            if (contract.BaseRange is { } range && data.TryGetSet(name, out var set)
                && set is { Kind: DataKind.WeightDiff, HasTensors: true } && range.Check(set.Tensors) is { } reason)
                return reason;
        return null;
    }

    private static readonly Dictionary<string, ResultContract> NoSets = [];

    private string SetNames => string.Join(" and ", Sets.Keys.Prepend(Dxo.ModelSet).Select(n => $"'{n}'"));

    private static string? NotFinite(string? tensor) =>
        tensor is null ? null
        : $"its tensor '{tensor}' holds NaN or an infinity; look at the site's learning rate and data";

    private string? CheckMember(Contribution contribution, string set) => contribution.Data!.TryGetSet(set, out _)
        ? CheckSet(contribution.For(set))
        : $"it carries no set '{set}', only {contribution.Data.SetNames}; the workflow has all sets that its task "
            + $"brings answered (FedAvg: its property Sets): add it with Dxo.{nameof(Dxo.WithSet)}";

    private string? CheckSet(Contribution contribution)
    {
        if (Kinds.Count > 0)
        {
            var kinds = string.Join(" or ", Kinds);
            if (contribution.Data is not { } data)
                return $"it carries no DXO where one of kind {kinds} is expected; answer with Dxo.ToShareable()";
            if (!Kinds.Contains(data.Kind))
            {
                return data.Kind == DataKind.Collection
                    ? $"it is a collection of the sets {data.SetNames} where plain {kinds} is expected; have the "
                        + $"executor answer with one of them, Dxo.{nameof(Dxo.Set)}, or the workflow expect them all "
                        + "(FedAvg: its property Sets)"
                    : $"it is of kind {data.Kind} where {kinds} is expected; have the executor answer with that "
                        + "kind, or the workflow expect what it sends"
                        + (data.Kind is DataKind.Weights or DataKind.WeightDiff ? " (FedAvg: its property Kind)" : "");
            }
        }
        if (Layout is not null && contribution.Data is { } any && (any.HasTensors || Kinds.Count > 0)
            && CheckLayout(any, Layout) is { } difference)
            return difference;
        if (RequireNumSteps && contribution.NumSteps is not >= 1)
        {
            var steps = contribution.NumSteps is { } n ? Invariant($"{n} training steps") : "no training steps";
            return $"it states {steps}; say how many all local epochs took, at least 1: "
                + $".WithMeta(MetaKey.{nameof(MetaKey.NumStepsCurrentRound)}, n)";
        }
        return Rule?.Invoke(contribution);
    }

    private string? CheckLayout(Dxo data, TensorLayout expected)
    {
        if (!data.HasTensors)
            return data.Kind is DataKind.Metrics ? null : "it carries no tensors; send those that the task brought";
        var actual = data.Tensors.Layout;
        if (!AllowMissingTensors)
        {
            return actual.DifferenceFrom(expected) is { } difference
                ? $"its layout differs from the model's: {difference}; send the "
                    + "tensors that the task brought, in their order" : null;
        }
        foreach (var spec in actual)
        {
            var index = expected.IndexOf(spec.Name);
            if (index < 0) return $"its tensor '{spec.Name}' is not in the model; leave it out";
            if (!expected[index].Equals(spec))
                return $"its tensor '{spec.Name}' is {spec} where the model has "
                    + $"{expected[index]}; send it with the model's type and shape";
        }
        return null;
    }
}
