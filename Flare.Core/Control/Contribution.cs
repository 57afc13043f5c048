namespace Flare;

/// <summary>
/// A site's admitted answer to a task. Its tensors are valid until the controller asks for the next contribution; <see cref="Retain"/>
/// keeps them until <see cref="Dispose"/>. docs/memory.md says who owns what.
/// </summary>
public sealed class Contribution : IDisposable
{
    private const int MaxMetrics = 256;

    private readonly Action<string> _reject;
    private bool _retained;
    private bool _disposed;

    private readonly FlareTask _task;

    internal Contribution(string site, TaskToken token, FlareTask task, Shareable message, Action<string> reject)
    {
        (Site, Token, _task, Message, _reject) = (site, token, task, message, reject);
        if (message.ContentType == ContentTypes.Dxo) Data = Dxo.From(message);
        if (Data is null) return;
        if (Data.TryGetMeta(MetaKey.NumStepsCurrentRound, out var steps))
            NumSteps = steps.Kind == FlareValueKind.Integer ? steps.AsInteger() : throw new FlareException(ErrorIds.MalformedMessage, $"its meta value {MetaKey.NumStepsCurrentRound} is a {steps.Kind}; set an integer");
        Metrics = NumbersOf(Data);
    }

    /// <summary>The site that contributed.</summary>
    public string Site { get; }

    /// <summary>The assignment that this answers.</summary>
    public TaskToken Token { get; }

    /// <summary>The task's name.</summary>
    public string TaskName => _task.Name;

    /// <summary>The round of the task.</summary>
    public int Round => Token.Round;

    /// <summary>The whole message; frozen.</summary>
    public Shareable Message { get; }

    /// <summary>The DXO that the message carries; null where it carries none.</summary>
    public Dxo? Data { get; }

    /// <summary>The kind of data.</summary>
    /// <exception cref="FlareException">The message carries no DXO.</exception>
    public DataKind Kind => RequiredData.Kind;

    /// <summary>The tensors, not a copy.</summary>
    /// <exception cref="FlareException">There are none.</exception>
    public StateDict Tensors => RequiredData.Tensors;

    /// <summary>Training steps of the round as the site states them; null where it does not.</summary>
    public long? NumSteps { get; }

    /// <summary>
    /// The metrics that the answer carries: the numbers among a metrics DXO's values, or among those measured before training. Null where there
    /// are none of either. Frozen.
    /// </summary>
    public FlareMap? Metrics { get; }

    /// <summary>The site's weights, whether it sent them or their difference from the task's model: a new state dict, the caller's.</summary>
    /// <exception cref="FlareException">The contribution is of neither kind.</exception>
    public StateDict ToWeights() => Kind switch
    {
        DataKind.Weights => Tensors.Clone(),
        DataKind.WeightDiff => Dxo.From(_task.Data).Tensors + Tensors,
        _ => throw new FlareException(ErrorIds.MalformedMessage, $"The answer of {Site} to task '{TaskName}' is of kind {Kind}; it has no weights."),
    };

    /// <summary>Whether it was refused after it had been admitted.</summary>
    public bool IsRejected { get; private set; }

    /// <summary>The workflow has made it part of its result: from now on it cannot be refused.</summary>
    public void MarkUsed() => IsUsed = true;

    private bool IsUsed { get; set; }

    /// <summary>Refuses the contribution after all: it counts as refused, with the reason, in the round's report.</summary>
    /// <exception cref="InvalidOperationException">It was used: the workflow said so, or has gone on to the next without retaining it.</exception>
    public void Reject(string reason)
    {
        ArgumentException.ThrowIfNullOrEmpty(reason);
        if (IsUsed || (IsConsumed && !_retained)) throw new InvalidOperationException($"The contribution of {Site} has been used already; refuse it at {nameof(EventTypes.BeforeContributionAccept)}, or by the task's contract.");
        IsRejected = true;
        _reject(reason);
    }

    /// <summary>Keeps the tensors valid until <see cref="Dispose"/>. Returns this instance.</summary>
    public Contribution Retain()
    {
        _retained = true;
        return this;
    }

    /// <summary>Ends the use of the tensors; memory that the site handed over returns to the pool.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (Data is { HasTensors: true }) Data.Tensors.ReleaseIfHandedOver();
    }

    /// <summary>The stream moves on: what nobody retained is done with.</summary>
    internal void MoveOn()
    {
        IsConsumed = true;
        if (!_retained) Dispose();
    }

    /// <summary>Whether the controller has had it.</summary>
    internal bool IsConsumed { get; private set; }

    // They go into reports and into the journal: nothing but numbers may, and not any number of them.
    private const int MaxMetricName = 256;

    private static FlareMap? NumbersOf(Dxo data)
    {
        var source = data.Kind == DataKind.Metrics ? data.Values : data.TryGetMeta(MetaKey.InitialMetrics, out var initial) ? initial.AsMap() : null;
        if (source is null) return null;
        if (source.Count > MaxMetrics) throw new FlareException(ErrorIds.MalformedMessage, $"it carries {source.Count} metrics; at most {MaxMetrics} are taken");
        var numbers = new FlareMap();
        foreach (var (name, value) in source)
            if (name.Length <= MaxMetricName && PlainText.IsWellFormed(name) && value.Kind is FlareValueKind.Number or FlareValueKind.Integer) numbers[name] = value;
        numbers.Freeze();
        return numbers;
    }

    private Dxo RequiredData => Data ?? throw new FlareException(ErrorIds.MalformedMessage, $"The answer of {Site} to task '{TaskName}' carries no DXO.");
}
