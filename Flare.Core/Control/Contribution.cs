namespace Flare;

/// <summary>
/// A site's admitted answer to a task. Its tensors are valid until the controller asks for the next contribution;
/// <see cref="Retain"/> keeps them until <see cref="Dispose"/>. docs/memory.md says who owns what. Not thread-safe.
/// </summary>
public sealed class Contribution : IDisposable
{
    private const int MaxMetrics = 256;

    // They go into reports and into the journal: nothing but numbers may, and not any number of them.
    private const int MaxMetricName = 256;

    private readonly FlareTask _task;
    private readonly string _set;
    private readonly Life _life;

    internal Contribution(string site, TaskToken token, FlareTask task, Shareable message, Action<string> reject)
    {
        (Site, Token, _task, _set, Message) = (site, token, task, Dxo.ModelSet, message);
        if (message.ContentType == ContentTypes.Dxo) Data = Dxo.From(message);
        _life = new(site, Data, reject);
        if (Data is null) return;
        NumSteps = StepsOf(Data, MetaKey.NumStepsCurrentRound);
        Metrics = NumbersOf(Data);
        MetricsWeight = Data.Kind == DataKind.Metrics ? NumSteps : StepsOf(Data, MetaKey.InitialMetricsWeight);
        if (MetricsWeight < 0)
        {
            throw new FlareException(ErrorIds.MalformedMessage,
                $"it states {MetricsWeight} as the weight of its metrics; say "
                    + "on how many samples they were measured, 0 if on none");
        }
    }

    private Contribution(Contribution whole, string set, Dxo data)
    {
        (Site, Token, _task, _set, Message, _life) =
            (whole.Site, whole.Token, whole._task, set, whole.Message, whole._life);
        (Data, Metrics, MetricsWeight) = (data, whole.Metrics, whole.MetricsWeight);
        NumSteps = StepsOf(data, MetaKey.NumStepsCurrentRound) ?? whole.NumSteps;
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

    /// <summary>
    /// The tensors, not a copy. Of an answer with several named sets they are had by <see cref="For"/>.
    /// </summary>
    /// <exception cref="FlareException">There are none.</exception>
    public StateDict Tensors => RequiredData.Tensors;

    /// <summary>Training steps of the round as the site states them; null where it does not.</summary>
    public long? NumSteps { get; }

    /// <summary>
    /// The metrics that the answer carries: the numbers among a metrics DXO's values, or among those measured before
    /// training. Null where there are none of either. Frozen.
    /// </summary>
    public FlareMap? Metrics { get; }

    /// <summary>
    /// The weight of <see cref="Metrics"/> as the site states it, at least 0; null where it does not.
    /// </summary>
    public long? MetricsWeight { get; }

    /// <summary>How far it has come.</summary>
    public ContributionState State => _life.State;

    /// <summary>Whether it was refused after it had been admitted.</summary>
    public bool IsRejected => State == ContributionState.Refused;

    /// <summary>
    /// This contribution as one named set of tensors sees it: <see cref="Data"/>, <see cref="Tensors"/> and
    /// <see cref="ToWeights"/> are the set's. Both are one contribution: what is retained, disposed of, used or refused
    /// by one is by the other.
    /// </summary>
    /// <param name="set">The set's name; <see cref="Dxo.ModelSet"/> is all of a plain answer.</param>
    /// <exception cref="FlareException">The answer has no such set.</exception>
    public Contribution For(string set)
    {
        ArgumentException.ThrowIfNullOrEmpty(set);
        var data = RequiredData.Set(set);
        return ReferenceEquals(data, Data) ? this : new(this, set, data);
    }

    /// <summary>
    /// The site's weights, whether it sent them or their difference from what the task brought: a new state dict, the
    /// caller's.
    /// </summary>
    /// <exception cref="FlareException">The contribution is of neither kind.</exception>
    public StateDict ToWeights() => Kind switch
    {
        DataKind.Weights => Tensors.Clone(),
        DataKind.WeightDiff => Dxo.From(_task.Data).Set(_set).Tensors + Tensors,
        _ => throw new FlareException(ErrorIds.MalformedMessage,
            $"The answer of {Site} to task '{TaskName}' is of kind {Kind}; it has no weights."),
    };

    /// <summary>The workflow has made it part of its result: from now on it cannot be refused.</summary>
    /// <exception cref="InvalidOperationException">It was refused.</exception>
    public void MarkUsed() => _life.Use();

    /// <summary>
    /// Refuses the contribution after all: it counts as refused, with the reason, in the round's report. Of several
    /// refusals the first counts.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// It was used: the workflow said so, or has gone on to the next without retaining it.
    /// </exception>
    public void Reject(string reason)
    {
        ArgumentException.ThrowIfNullOrEmpty(reason);
        _life.Refuse(reason);
    }

    /// <summary>
    /// Keeps the tensors valid until <see cref="Dispose"/>, called once for each time. Returns this instance.
    /// </summary>
    public Contribution Retain()
    {
        _life.Holders++;
        return this;
    }

    /// <summary>
    /// Ends one holder's use of the tensors; with the last one, memory that the site handed over returns to the pool.
    /// </summary>
    public void Dispose() => _life.LetGo();

    /// <summary>The stream moves on: what nobody retained is done with.</summary>
    internal void MoveOn()
    {
        _life.IsConsumed = true;
        _life.LetGo();
    }

    /// <summary>Whether the controller has had it.</summary>
    internal bool IsConsumed => _life.IsConsumed;

    /// <summary>
    /// Takes the memory that the site handed over, for this contribution alone; false where another one has it.
    /// </summary>
    internal bool TryClaimMemory() => Data?.TryClaimMemory() != false;

    private static long? StepsOf(Dxo data, MetaKey key)
    {
        if (!data.TryGetMeta(key, out var steps)
            && !(data.Kind == DataKind.Collection && data.TryGetSet(Dxo.ModelSet, out var model)
                && model.TryGetMeta(key, out steps)))
            return null;
        return steps.Kind == FlareValueKind.Integer
            ? steps.AsInteger()
            : throw new FlareException(
                ErrorIds.MalformedMessage, $"its meta value {key} is a {steps.Kind}; set an integer");
    }

    private static FlareMap? NumbersOf(Dxo data)
    {
        var source = data.Kind == DataKind.Metrics ? data.Values
            : data.TryGetMeta(MetaKey.InitialMetrics, out var initial) ? initial.AsMap() : null;
        if (source is null) return null;
        if (source.Count > MaxMetrics)
        {
            throw new FlareException(ErrorIds.MalformedMessage,
                $"it carries {source.Count} metrics; at most {MaxMetrics} are taken");
        }
        var numbers = new FlareMap();
        foreach (var (name, value) in source)
            if (name.Length <= MaxMetricName && PlainText.IsWellFormed(name)
                && value.Kind is FlareValueKind.Number or FlareValueKind.Integer) numbers[name] = value;
        numbers.Freeze();
        return numbers;
    }

    private Dxo RequiredData => Data
        ?? throw new FlareException(
            ErrorIds.MalformedMessage, $"The answer of {Site} to task '{TaskName}' carries no DXO.");

    /// <summary>
    /// What a contribution and its views by set have in common: how far it has come, and who holds its tensors.
    /// </summary>
    private sealed class Life(string site, Dxo? data, Action<string> reject)
    {
        public ContributionState State { get; private set; }

        /// <summary>The stream, and everybody who has retained it since.</summary>
        public int Holders { get; set; } = 1;

        public bool IsConsumed { get; set; }

        public void Use()
        {
            if (State == ContributionState.Refused)
                throw new InvalidOperationException($"The contribution of {site} was refused; it cannot be used.");
            State = ContributionState.Used;
        }

        public void Refuse(string reason)
        {
            if (State == ContributionState.Refused) return;
            if (State != ContributionState.Admitted)
            {
                throw new InvalidOperationException($"The contribution of {site} has been used already; refuse it at "
                    + $"{nameof(EventTypes.BeforeContributionAccept)}, or by the task's contract.");
            }
            State = ContributionState.Refused;
            reject(reason);
        }

        public void LetGo()
        {
            if (Holders == 0 || --Holders > 0) return;
            if (State == ContributionState.Admitted) State = ContributionState.Over;
            data?.ReleaseMemory();
        }
    }
}
