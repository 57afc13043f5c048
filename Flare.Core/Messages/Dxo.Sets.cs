namespace Flare;

/// <content>
/// Named sets of tensors: a model and what belongs to it, such as SCAFFOLD's control variates. One set alone is a plain
/// DXO; several are a collection, so that a filter that knows plain ones alone fails rather than let a set pass by.
/// </content>
public sealed partial class Dxo
{
    /// <summary>The name of the set that is the model. A plain DXO is this set and no other.</summary>
    public const string ModelSet = "model";

    /// <summary>The names of the sets, in order; of a plain DXO <see cref="ModelSet"/> alone.</summary>
    public IEnumerable<string> Sets => Kind == DataKind.Collection ? Values.Select(v => v.Key) : [ModelSet];

    /// <summary>
    /// This data with one more named set beside it: a collection, with the facts of a plain DXO on its
    /// <see cref="ModelSet"/>. Tensors are shared, not copied.
    /// </summary>
    /// <param name="name">The set's name, such as <c>control</c>.</param>
    /// <param name="set">Its data: weights, or a difference from what the task brought under this name.</param>
    /// <exception cref="ArgumentException">There is a set of this name.</exception>
    public Dxo WithSet(string name, Dxo set)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(set);
        if (TryGetSet(name, out _)) throw new ArgumentException($"There is a set '{name}' already.", nameof(name));
        if (set.Kind == DataKind.Collection) throw new ArgumentException("A set is no collection itself.", nameof(set));
        var values = Kind == DataKind.Collection ? new FlareMap(Values) : new FlareMap { [ModelSet] = ToMap() };
        values[name] = set.ToMap();
        return new(DataKind.Collection, null, values, Kind == DataKind.Collection ? new FlareMap(Meta) : null);
    }

    /// <summary>A named set, if there is one.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="set">The set; this instance where it is plain.</param>
    /// <exception cref="FlareException">The member of this name is no DXO.</exception>
    public bool TryGetSet(string name, out Dxo set)
    {
        ArgumentNullException.ThrowIfNull(name);
        set = this;
        if (Kind != DataKind.Collection) return name == ModelSet;
        if (!Values.TryGet(name, out var member)) return false;
        set = FromMap(member.AsMap());
        return true;
    }

    /// <summary>A named set.</summary>
    /// <exception cref="FlareException">There is none of this name; the message lists those that are there.</exception>
    public Dxo Set(string name) => TryGetSet(name, out var set)
        ? set
        : throw new FlareException(ErrorIds.MalformedMessage,
            $"The data has no set '{PlainText.Cut(name)}'{DidYouMean.Suggest(name, Sets)}. It has {SetNames}. "
            + $"Make it with Dxo.{nameof(WithSet)} to send more than the model.");

    /// <summary>The sets that there are, in words.</summary>
    internal string SetNames =>
        Sets.Any() ? PlainText.Some([.. Sets.Select(s => $"'{PlainText.Cut(s)}'")], 10) : "none";

    /// <summary>
    /// Takes the memory that was handed over with any of the tensors; false where it was taken before.
    /// </summary>
    internal bool TryClaimMemory() => Kind == DataKind.Collection
        ? AllTensors().All(t => t.TryClaim())
        : _tensors?.TryClaim() != false;

    /// <summary>Gives the memory back that was handed over with any of the tensors.</summary>
    internal void ReleaseMemory()
    {
        if (Kind != DataKind.Collection) _tensors?.ReleaseIfHandedOver();
        else foreach (var tensors in AllTensors()) tensors.ReleaseIfHandedOver();
    }

    // Members are not looked at as DXOs: a malformed one must not keep the memory of the others.
    private IEnumerable<StateDict> AllTensors()
    {
        if (_tensors is not null) yield return _tensors;
        if (Kind != DataKind.Collection) yield break;
        foreach (var (_, member) in Values)
            if (member.Kind == FlareValueKind.Map && member.AsMap().TryGet(TensorsName, out var value)
                && value.Kind == FlareValueKind.Tensors) yield return value.AsTensors();
    }
}
