namespace Flare.Runtime;

public sealed partial class JobServer
{
    // Keeps what a workflow calls its own apart from the model, among the journal's snapshots.
    private const string StatePrefix = "state/";

    private readonly List<TaskRun> _roundRuns = [];
    private int _workflow;
    private bool _complete;
    private bool _committing;
    private long? _roundStarted;

    /// <summary>The last round that is durable; 0 before the first of the workflow at hand.</summary>
    public int LastCommittedRound { get; private set; }

    internal RoundReport? LastReport { get; private set; }

    private void BeginRound(TaskRun run)
    {
        _roundStarted ??= _options.Time.GetTimestamp();
        _roundRuns.Add(run);
    }

    /// <summary>Makes a round durable, then announces it.</summary>
    internal async Task<RoundReport> CommitAsync(int round, StateDict model, RoundResult result, CancellationToken abort)
    {
        if (_committing) throw new InvalidOperationException($"Round {round} cannot be committed while another commit is on its way: await that one first.");
        _committing = true;
        try
        {
            return await CommitOneAsync(round, model, result, abort);
        }
        finally
        {
            _committing = false;
        }
    }

    private async Task<RoundReport> CommitOneAsync(int round, StateDict model, RoundResult result, CancellationToken abort)
    {
        abort.ThrowIfCancellationRequested();
        if (round <= LastCommittedRound)
            throw new InvalidOperationException($"Round {round} cannot be committed: round {LastCommittedRound} is committed already. Begin at {nameof(LastCommittedRound)} + 1.");
        model.Freeze().Keep(); // first: what is looked at must be what is committed
        var bad = model.Layout.ByteLength <= _options.Limits.SmallResultBytes ? model.FirstNonFiniteTensor() : await _options.Compute.RunAsync(model.FirstNonFiniteTensor);
        if (bad is not null)
            throw new FlareException(ErrorIds.Aggregation, $"The model of round {round} cannot be committed: its tensor '{bad}' holds NaN or an infinity. Lower the server's or the sites' learning rate.");

        foreach (var tensors in State.Tensors.Values) tensors.Freeze().Keep();
        var state = new RunState(State);
        state.Values.Freeze();
        var context = new FLContext(_engine);
        context.Set(ContextKeys.CurrentRound, round);
        context.Set(ContextKeys.GlobalModel, model);
        _engine.Fire(EventTypes.BeforeLearnablePersist, context);
        var report = Report(round, result);
        if (_journal is not null)
        {
            report = report with { ModelSha256 = await _options.Compute.RunAsync(model.Sha256) };
            if (_options.Faults.HasFlag(PlantedFaults.AnnounceBeforeFlush)) _reports.Writer.TryWrite(report);
            var snapshots = state.Tensors.ToDictionary(t => StatePrefix + t.Key, t => t.Value, StringComparer.Ordinal);
            snapshots[JournalCommit.Model] = model;
            await _journal.CommitRoundAsync(new JournalCommit { Workflow = _workflow, Round = round, Snapshots = snapshots, Values = state.Values, Report = report.ToMap() });
            // A crash while the commit was on its way to the disk: nothing is announced.
            if (_dead) throw new OperationCanceledException();
        }
        Model = model;
        LastCommittedRound = round;
        LastReport = report;
        (_late, _duplicates) = (_late - report.LateResults, _duplicates - report.DuplicateResults);
        CommittedState = state;
        EndRound(round);
        _engine.Fire(EventTypes.AfterLearnablePersist, context);
        if (!_options.Faults.HasFlag(PlantedFaults.AnnounceBeforeFlush)) _reports.Writer.TryWrite(report);
        Log.RoundCommitted(_options.Logger, round, report.Accepted, report.Targets, report.Elapsed.TotalSeconds);
        _engine.Fire(EventTypes.RoundDone, context);
        return report;
    }

    private RoundReport Report(int round, RoundResult result)
    {
        var runs = _roundRuns.Where(r => r.Task.Round == round).ToArray();
        var main = runs.Length > 0 ? runs[0].Task.Name : null;
        var sites = runs.SelectMany(r => r.Outcomes()).ToArray();
        return new RoundReport
        {
            Number = round,
            Workflow = _options.Controllers[_workflow].Name,
            Targets = sites.Count(s => s.Task == main),
            Accepted = sites.Count(s => s.Task == main && s.Status == SiteStatus.Accepted),
            Metrics = result.Metrics,
            IsBest = result.IsBest,
            Sites = sites,
            Elapsed = _options.Time.GetElapsedTime(_roundStarted ?? _options.Time.GetTimestamp()),
            LateResults = _late,
            DuplicateResults = _duplicates,
        };
    }

    private void EndRound(int round)
    {
        _roundRuns.RemoveAll(r => r.Task.Round <= round);
        _roundStarted = _options.Time.GetTimestamp();
    }

    private async Task<Journal> OpenAsync(Func<Task<IJournalStorage>> open)
    {
        try
        {
            return await Journal.OpenAsync(await open(), new JournalIdentity
            {
                JobId = _options.JobId,
                Seed = unchecked((long)_options.Seed),
                LayoutFingerprint = Model.Layout.Fingerprint,
                HasProvidedAggregator = _options.CreateAggregator is not null,
                Workflows = string.Join(", ", _options.Controllers.Select(c => c.Name)),
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FlareException(ErrorIds.Journal, $"The journal cannot be opened: {e.Message} Name a folder that this process can create and write.", e);
        }
    }

    private async Task OpenJournalAsync()
    {
        if (_options.Journal is null) return;
        _journal = await OpenAsync(_options.Journal);
        Epoch = checked((int)_journal.Epoch);
        foreach (var warning in _journal.Warnings) Log.JournalWarning(_options.Logger, warning);
        if (_journal.Recovered is not { } recovered) return;
        _complete = recovered.IsCompleted;
        _workflow = recovered.Workflow;
        LastCommittedRound = recovered.LastRound ?? 0;
        Model = recovered.Model ?? Model;
        foreach (var (name, tensors) in recovered.Snapshots)
            if (name.StartsWith(StatePrefix, StringComparison.Ordinal)) State.Tensors[name[StatePrefix.Length..]] = tensors;
        State.Values = new FlareMap(recovered.Values);
        CommittedState = new RunState(State);
        foreach (var (workflow, _, map) in recovered.Reports)
        {
            var report = RoundReport.FromMap(map);
            if (workflow == _workflow) LastReport = report;
            _reports.Writer.TryWrite(report);
        }
        Log.JobResumes(_options.Logger, _options.JobId, LastCommittedRound);
    }
}
