namespace Flare.Workflows;

/// <summary>
/// The round's sites measure the model on their own data, as they answer the task <c>validate</c>. A site that answers
/// it with <see cref="ReturnCode.TaskUnknown"/> or <see cref="ReturnCode.TaskUnsupported"/> is not asked again in this
/// run.
/// </summary>
public sealed class SiteEvaluation : Evaluation
{
    private readonly HashSet<string> _cannotMeasure = new(StringComparer.Ordinal);
    private bool _toldThatNoneMeasures;

    /// <summary>How long sites have; those that take longer are left out of the metrics. 5 min unless set.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The metrics of which was told that only some sites state them.</summary>
    internal HashSet<string> PartlyStated { get; } = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public override void Begin()
    {
        _cannotMeasure.Clear();
        PartlyStated.Clear();
        _toldThatNoneMeasures = false;
    }

    /// <inheritdoc/>
    public override async Task<Measurement> MeasureAsync(
        ControllerContext context, int round, StateDict model, IReadOnlyList<string> sites, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(sites);
        var metrics = new MetricsMean(PartlyStated);
        string[] able = [.. sites.Where(t => !_cannotMeasure.Contains(t))];
        if (able.Length > 0)
        {
            var options = new BroadcastOptions { Targets = able, MinResponses = 0, Grace = Timeout, Timeout = Timeout };
            var responses = context.BroadcastAsync(FlareTask.Validate(round, model), options, abort);
            await foreach (var contribution in responses) metrics.Add(contribution);
            foreach (var site in responses.Sites)
                if (site.Code is ReturnCode.TaskUnknown or ReturnCode.TaskUnsupported) _cannotMeasure.Add(site.Site);
        }
        if (!sites.All(_cannotMeasure.Contains))
        {
            foreach (var site in sites.Where(_cannotMeasure.Contains)) metrics.AddSilent(site);
            return metrics.Result();
        }
        if (_toldThatNoneMeasures) return Measurement.None;
        _toldThatNoneMeasures = true;
        return Measurement.None with
        {
            Warnings =
            [
                $"No site of the round knows the task '{TaskNames.Validate}', so its model is not measured; they are "
                    + "not asked again. A Learner measures by overriding ValidateAsync; "
                    + $"{nameof(ValidationMode)}.{nameof(ValidationMode.None)} asks nobody",
            ],
        };
    }
}
