namespace Flare.Workflows;

/// <summary>
/// What a workflow has to tell of its rounds though they went on: into the round's report, and into the log where it is
/// new.
/// </summary>
internal sealed class RoundNotes(ControllerContext context)
{
    private const int MostLogged = 1000;

    private readonly HashSet<string> _logged = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _leftOut = new(StringComparer.Ordinal);
    private readonly List<string> _ofRound = [];
    private bool _sawMetrics;
    private bool _toldOfNone;
    private bool _toldOfMissing;

    /// <summary>The notes since the last call.</summary>
    public IReadOnlyList<string> TakeAll()
    {
        string[] notes = [.. _ofRound];
        _ofRound.Clear();
        return notes;
    }

    public void Add(int round, string note)
    {
        _ofRound.Add(note);
        // The same in every round is told of once; a workflow whose notes never end is not told of for ever.
        if (_logged.Count >= MostLogged || !_logged.Add(note)) return;
        Log.RoundNote(context.Logger, round, note);
        if (_logged.Count == MostLogged) Log.NotesEnd(context.Logger, round, MostLogged);
    }

    /// <summary>A round's contributions make no model, and its sites train once more.</summary>
    public void Repeats(int round, Aggregator aggregator)
    {
        var reason = aggregator.RepeatReason
            ?? $"the aggregator {aggregator.GetType().Name} could make no model of what its sites sent";
        Log.RoundRepeats(context.Logger, round, reason);
        _ofRound.Add($"The round was trained more than once, and the last time counts: {reason}");
    }

    /// <summary>
    /// A model was measured: says what is odd about the metrics, once where the best model's is not among them, and in
    /// the last round where none ever was.
    /// </summary>
    public void Look(int round, bool isLast, Measurement measurement, ModelSelection? selection)
    {
        foreach (var warning in measurement.Warnings) Add(round, warning);
        if (measurement.Metrics.Count == 0)
        {
            // A round may go unmeasured, where an evaluation is made so; a run may not in silence.
            _toldOfNone |= measurement.Warnings.Count > 0;
            if (!isLast || _sawMetrics || _toldOfNone) return;
            _toldOfNone = true;
            Add(round, selection?.Missing(measurement.Metrics)
                ?? "No metric of any round's model came at all. Have the executor answer 'validate' with Dxo.Metrics, "
                    + "or set Validation to None");
            return;
        }
        _sawMetrics = true;
        if (selection is null || _toldOfMissing || measurement.Metrics.ContainsKey(selection.Metric)) return;
        _toldOfMissing = true;
        Add(round, selection.Missing(measurement.Metrics));
    }

    /// <summary>
    /// A round's task has ended: tells, louder as rounds go by, which sites are left out again and again.
    /// </summary>
    public void Look(int round, IReadOnlyList<SiteOutcome> sites)
    {
        foreach (var site in sites)
        {
            if (site.Status == SiteStatus.Accepted) _leftOut.Remove(site.Site);
            if (site.Status != SiteStatus.TimedOut) continue;
            var rounds = _leftOut[site.Site] = _leftOut.GetValueOrDefault(site.Site) + 1;
            if (rounds is 1) continue; // the report has it, with the reason
            Add(round,
                $"{site.Site} was left out of {Readable.Count(rounds, "round")} in a row, "
                    + "because it needs longer than the round waits for it"
                + (rounds < 4 ? "" : ": the model learns nothing of its data")
                + $". Give it time: a longer {nameof(ScatterAndGather.Grace)} or "
                + $"{nameof(ScatterAndGather.TrainTimeout)}, or "
                + $"{nameof(ScatterAndGather.MinSites)} of all sites");
        }
    }

    /// <summary>The run begins: says what is odd about model and settings.</summary>
    public void Look(StateDict model, ModelSelection? selection)
    {
        if (selection?.Oddity is { } oddity) Add(0, oddity);
        if (EncryptedForm.Is(model.Layout)) return; // its bytes are no values that a mean would be made of
        var integer = model.Layout.FirstOrDefault(
            t => t.Role == TensorRole.Parameter && !t.DType.IsFloatingPoint() && t.DType != DType.Bool
            && !t.Name.EndsWith("num_batches_tracked", StringComparison.Ordinal));
        if (integer is not null)
        {
            Add(0,
                $"The model's tensor '{integer.Name}' is a parameter of {integer.DType}, and a "
                    + "mean of integers is rounded to one: that of 0 and 1 is 0. Train in "
                    + "floating-point, or mark what is not trained as TensorRole.Buffer");
        }
    }
}
