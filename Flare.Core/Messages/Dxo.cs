namespace Flare;

/// <summary>
/// A Data Exchange Object (FLARE: DXO): data of a stated kind, with facts about it. It travels in a
/// <see cref="Shareable"/>. The tensors are shared, not copied.
/// </summary>
public sealed partial class Dxo
{
    private const string KindName = "kind", TensorsName = "tensors", ValuesName = "values", MetaName = "meta";

    private readonly StateDict? _tensors;

    /// <summary>Wraps data.</summary>
    /// <param name="kind">What the data is.</param>
    /// <param name="tensors">The tensors, if the kind has any.</param>
    /// <param name="values">Named values, such as metrics; a collection's DXOs.</param>
    /// <param name="meta">Facts about the data.</param>
    public Dxo(DataKind kind, StateDict? tensors = null, FlareMap? values = null, FlareMap? meta = null) =>
        (Kind, _tensors, Values, Meta) = (kind, tensors, values ?? [], meta ?? []);

    /// <summary>What the data is.</summary>
    public DataKind Kind { get; }

    /// <summary>Whether there are tensors.</summary>
    public bool HasTensors => _tensors is not null;

    /// <summary>The tensors, not a copy. Those of a message received are frozen.</summary>
    /// <exception cref="FlareException">There are none.</exception>
    public StateDict Tensors => _tensors ?? throw new FlareException(
        ErrorIds.MalformedMessage,
        Kind == DataKind.Collection
            ? $"A DXO of kind {Kind} carries its tensors in sets, and has {SetNames}: take one by its name, "
                + $"Set(\"{Sets.FirstOrDefault() ?? ModelSet}\").Tensors."
            : $"A DXO of kind {Kind} carries no tensors; look at HasTensors or Kind first.");

    /// <summary>Named values: the metrics of <see cref="DataKind.Metrics"/>, the fields of the other kinds.</summary>
    public FlareMap Values { get; }

    /// <summary>Facts about the data, by <see cref="MetaKey"/>'s names.</summary>
    public FlareMap Meta { get; }

    /// <summary>A model's weights.</summary>
    /// <param name="tensors">The weights; shared, not copied.</param>
    /// <param name="steps">
    /// In a site's answer, the training steps of all local epochs together, its weight in the mean; at least 1. Sets
    /// <see cref="MetaKey.NumStepsCurrentRound"/>; a model that nobody averages needs none.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The steps are below 1.</exception>
    public static Dxo Weights(StateDict tensors, long? steps = null) => Of(DataKind.Weights, tensors, steps);

    /// <summary>What is to be added to a model's weights.</summary>
    /// <param name="tensors">The differences, trained minus received; shared, not copied.</param>
    /// <param name="steps">As for <see cref="Weights"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The steps are below 1.</exception>
    public static Dxo WeightDiff(StateDict tensors, long? steps = null) => Of(DataKind.WeightDiff, tensors, steps);

    /// <summary>Named numbers, such as <c>("accuracy", 0.93)</c>.</summary>
    public static Dxo Metrics(params ReadOnlySpan<(string Name, double Value)> metrics)
    {
        var values = new FlareMap();
        foreach (var (name, value) in metrics) values[name] = value;
        return new(DataKind.Metrics, null, values);
    }

    /// <summary>Several DXOs by name.</summary>
    public static Dxo Collection(params ReadOnlySpan<(string Name, Dxo Item)> items)
    {
        var values = new FlareMap();
        foreach (var (name, item) in items) values[name] = item.ToMap();
        return new(DataKind.Collection, null, values);
    }

    /// <summary>The DXO of a name in a collection.</summary>
    /// <exception cref="FlareException">This is no collection, or has no such member; the message lists those that it
    /// has.</exception>
    public Dxo Member(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (Kind != DataKind.Collection)
            throw new FlareException(ErrorIds.MalformedMessage, $"A DXO of kind {Kind} is no collection.");
        return Set(name);
    }

    /// <summary>Sets a fact about the data. Returns this instance.</summary>
    public Dxo WithMeta(MetaKey key, FlareValue value)
    {
        Meta[key.Name] = value;
        return this;
    }

    /// <summary>A fact about the data, if it is known.</summary>
    public bool TryGetMeta(MetaKey key, out FlareValue value) => Meta.TryGet(key.Name, out value);

    /// <summary>The DXO that a message carries.</summary>
    /// <exception cref="FlareException">The message carries none, or a malformed one.</exception>
    public static Dxo From(Shareable message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (message.ContentType != ContentTypes.Dxo)
        {
            throw new FlareException(
                ErrorIds.MalformedMessage,
                $"The message carries no DXO: its content type is '{PlainText.Cut(message.ContentType ?? "none")}', "
                    + $"its return code {message.ReturnCode}.");
        }
        return FromMap(message.Body);
    }

    /// <summary>A message that carries this DXO; tensors and maps are shared, not copied.</summary>
    public Shareable ToShareable() => new(ToMap()) { ContentType = ContentTypes.Dxo };

    /// <summary>
    /// The first tensor, wherever this DXO or a collection's members hold it, with NaN or an infinity; null where there
    /// is none.
    /// </summary>
    internal string? FirstNonFiniteTensor()
    {
        if ((_tensors?.FirstNonFiniteTensor() ?? Meta.FirstNonFiniteTensor()) is { } name) return name;
        if (Kind != DataKind.Collection) return Values.FirstNonFiniteTensor();
        foreach (var (member, value) in Values)
            if (FromMap(value.AsMap()).FirstNonFiniteTensor() is { } inner) return $"{member}/{inner}";
        return null;
    }

    internal FlareMap ToMap()
    {
        var map = new FlareMap { [KindName] = (int)Kind };
        if (_tensors is not null) map[TensorsName] = _tensors;
        if (Values.Count > 0) map[ValuesName] = Values;
        if (Meta.Count > 0) map[MetaName] = Meta;
        return map;
    }

    private static Dxo FromMap(FlareMap map)
    {
        var kind = map[KindName].AsInteger();
        if (kind is < int.MinValue or > int.MaxValue || !Enum.IsDefined((DataKind)kind))
            throw new FlareException(
                ErrorIds.MalformedMessage,
                $"A DXO states the unknown kind {kind}; the sender may be of a newer version.");
        return new Dxo(
            (DataKind)kind,
            map.TryGet(TensorsName, out var tensors) ? tensors.AsTensors() : null,
            map.TryGet(ValuesName, out var values) ? values.AsMap() : null,
            map.TryGet(MetaName, out var meta) ? meta.AsMap() : null);
    }

    private static Dxo Of(DataKind kind, StateDict tensors, long? steps)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        if (steps is < 1)
        {
            throw new ArgumentOutOfRangeException(
                nameof(steps), steps,
                "Training steps are a contribution's weight, and at least 1; "
                    + "a site that did not train sends no contribution.");
        }
        var data = new Dxo(kind, tensors);
        return steps is { } count ? data.WithMeta(MetaKey.NumStepsCurrentRound, count) : data;
    }
}
