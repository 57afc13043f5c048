namespace Flare;

/// <summary>
/// A filter that changes data and leaves the rest of the message alone (FLARE: DXOFilter): it gets a <see cref="Dxo"/>
/// of a kind that it names, and returns one. Members of a collection are filtered one by one, whatever they are nested
/// in.
/// <para>It fails closed. What it throws stops the message; so does a body that is no DXO; and, where the filter names
/// a kind that has tensors (<see cref="DataKind.Weights"/>, <see cref="DataKind.WeightDiff"/>,
/// <see cref="DataKind.Model"/>), tensors in a DXO of a kind that it does not name, or in a header: they would pass it
/// by. All else passes as it is: messages without a body, and other kinds without tensors, such as metrics.</para>
/// </summary>
public abstract class DxoFilter : Filter
{
    private readonly DataKind[] _kinds;

    /// <summary>A filter of some kinds of data.</summary>
    /// <param name="kinds">The kinds it applies to, at least one.</param>
    /// <exception cref="ArgumentException">No kind is named.</exception>
    protected DxoFilter(params ReadOnlySpan<DataKind> kinds)
    {
        if (kinds.IsEmpty)
            throw new ArgumentException("Name the kinds of data that the filter applies to.", nameof(kinds));
        _kinds = kinds.ToArray();
    }

    /// <summary>The kinds that the filter applies to.</summary>
    public IReadOnlyList<DataKind> Kinds => _kinds;

    /// <summary>Changes data of one of <see cref="Kinds"/>.</summary>
    /// <param name="data">
    /// The data. Its tensors and maps may be frozen, and shared with others: put changed ones into a new
    /// <see cref="Dxo"/>, with the values and the meta values that it is to keep.
    /// </param>
    /// <param name="context">The task, the peer, the round.</param>
    /// <param name="abort">Cancelled when the task is aborted.</param>
    /// <returns>The data to send on: the same instance if nothing is to change.</returns>
    protected abstract ValueTask<Dxo> FilterAsync(Dxo data, FLContext context, CancellationToken abort);

    /// <inheritdoc/>
    public sealed override async ValueTask<Shareable> ProcessAsync(
        Shareable message, FLContext context, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(message);
        ArgumentNullException.ThrowIfNull(context);
        message.RequireDepth();
        if (_kinds.Any(HasTensors) && message.Headers.Tensors().Any())
            throw Stopped(context, "its headers hold tensors, which would pass it by");
        if (message.Body.Count == 0) return message;
        if (message.ContentType != ContentTypes.Dxo)
            throw Stopped(
                context, $"its body is no DXO (its content type is '{PlainText.Cut(message.ContentType ?? "none")}')");
        var data = Dxo.From(message);
        var filtered = await ProcessAsync(data, context, abort);
        return ReferenceEquals(filtered, data) ? message : message.With(filtered);
    }

    private async ValueTask<Dxo> ProcessAsync(Dxo data, FLContext context, CancellationToken abort)
    {
        if (_kinds.Contains(data.Kind))
            return await FilterAsync(data, context, abort) ?? throw Stopped(context, "it returned no data");
        if (data.Kind == DataKind.Collection) return await MembersAsync(data, context, abort);
        if (_kinds.Any(HasTensors) && FirstTensors(data) is { } tensors)
            throw Stopped(
                context, $"data of kind {data.Kind} holds tensors ({PlainText.Cut(tensors)}), which would pass it by");
        return data;
    }

    private async ValueTask<Dxo> MembersAsync(Dxo collection, FLContext context, CancellationToken abort)
    {
        if (_kinds.Any(HasTensors) && (collection.HasTensors || collection.Meta.Tensors().Any()))
            throw Stopped(context, "a collection holds tensors beside its members, which would pass it by");
        FlareMap? members = null;
        foreach (var (name, _) in collection.Values)
        {
            var member = collection.Member(name);
            var filtered = await ProcessAsync(member, context, abort);
            if (ReferenceEquals(filtered, member)) continue;
            members ??= new FlareMap(collection.Values);
            members[name] = filtered.ToMap();
        }
        return members is null ? collection : new Dxo(DataKind.Collection, null, members, collection.Meta);
    }

    private static bool HasTensors(DataKind kind) => kind is DataKind.Weights or DataKind.WeightDiff or DataKind.Model;

    private static string? FirstTensors(Dxo data) =>
        data.HasTensors ? "its own"
        : data.Values.Tensors().Concat(data.Meta.Tensors()).Select(t => $"'{t.Path}'").FirstOrDefault();

    private FlareException Stopped(FLContext context, string reason) => new(
        ErrorIds.Filter,
        $"The filter {GetType().Name}, which is for data of kind {string.Join(", ", _kinds)}, "
            + $"stops the message of task '{context.TaskName}': {reason}. Name the kind, send "
            + "what the filter is for, or add it for other tasks only.");
}
