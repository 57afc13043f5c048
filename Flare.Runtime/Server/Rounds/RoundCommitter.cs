using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Flare.Runtime;

/// <summary>Makes rounds durable, then announces them: model, state, report, and the journal that keeps them.</summary>
internal sealed class RoundCommitter(JobLife life, UnreadAnswers unread)
{
    // Keeps what a workflow calls its own apart from the model, among the journal's snapshots.
    private const string StatePrefix = "state/";

    private readonly List<TaskRun> _runs = [];
    private readonly ReportQueue _reports = new(
        life.Options.WaitsForReader ? null : ReportQueue.ReportsKept,
        () => Log.ReportsDropped(life.Logger, life.Options.JobId, ReportQueue.ReportsKept));
    private readonly ReaderTurns _turns = new(life.Options.Loop);
    private readonly StorageWatch _storage = new(life);
    private Journal? _journal;
    private long? _started;
    private int _late;
    private int _duplicates;

    /// <summary>The reports, as rounds are committed.</summary>
    public ChannelReader<RoundReport> Reports => _reports;

    /// <summary>How many reports were dropped unread.</summary>
    public long ReportsDropped => _reports.Dropped;

    /// <summary>What the rounds add up to.</summary>
    public JobNumbers Numbers { get; } = new();

    /// <summary>The global model: the initial one, then that of the last committed round. Frozen.</summary>
    public StateDict Model { get; private set; } = Kept(life.Options.InitialModel);

    /// <summary>What the workflows keep beside the model.</summary>
    public RunState State { get; } = new();

    /// <summary>The state as of the last commit; another thread than the loop's may read it.</summary>
    public RunState CommittedState { get; private set; } = new(new RunState());

    /// <summary>The last round that is durable; 0 before the first of the workflow at hand.</summary>
    public int LastRound { get; private set; }

    public RoundReport? LastReport { get; private set; }

    /// <summary>Which state each site is to go on from.</summary>
    public SiteStateRefs SiteStates { get; } = new();

    /// <summary>The index of the workflow at hand.</summary>
    public int Workflow { get; private set; }

    /// <summary>Whether the journal says that the whole job is done.</summary>
    public bool IsJobComplete { get; private set; }

    /// <summary>Whether a commit is on its way.</summary>
    public bool IsCommitting { get; private set; }

    public void CountLate() => _late++;

    public void CountDuplicate() => _duplicates++;

    /// <summary>A task of a round begins.</summary>
    public void Begin(TaskRun run)
    {
        _started ??= life.Time.GetTimestamp();
        _runs.Add(run);
    }

    /// <summary>A round begins again: what its tasks that are over brought counts no longer.</summary>
    public void Forget(int round)
    {
        _runs.RemoveAll(r => r.IsComplete && r.Task.Round == round);
        SiteStates.Forget(Workflow, round);
    }

    /// <summary>Makes a round durable, then announces it.</summary>
    public async Task<RoundReport> CommitAsync(int round, StateDict model, RoundResult result, CancellationToken abort)
    {
        if (IsCommitting)
            throw new InvalidOperationException(
                $"Round {round} cannot be committed while another commit is on its way: await that one first.");
        IsCommitting = true;
        try
        {
            return await CommitOneAsync(round, model, result, abort);
        }
        finally
        {
            IsCommitting = false;
        }
    }

    /// <summary>The workflow at hand has ended well; the next one begins with round 1.</summary>
    public async Task CompleteWorkflowAsync()
    {
        var name = life.Options.Controllers[Workflow].Name;
        if (LastRound == 0) Log.NothingCommitted(life.Logger, name);
        if (_journal is not null)
            await _storage.AnswerAsync(_journal.CompleteWorkflowAsync(Workflow), $"the completion of workflow {name}");
        Workflow++;
        (LastRound, LastReport) = (0, null);
        _runs.Clear();
    }

    /// <summary>All workflows have ended well.</summary>
    public async Task CompleteJobAsync()
    {
        if (_journal is not null && !IsJobComplete)
            await _storage.AnswerAsync(_journal.CompleteJobAsync(), "the job's completion");
    }

    /// <summary>Closes the journal.</summary>
    public async Task CloseAsync()
    {
        if (_journal is not null) await _storage.CloseAsync(_journal);
    }

    /// <summary>One reader's reports: by asking for one it lets the next round be committed.</summary>
    public async IAsyncEnumerable<RoundReport> ReadReportsAsync()
    {
        while (true)
        {
            _turns.Ask();
            if (!await Reports.WaitToReadAsync(CancellationToken.None)) yield break;
            if (Reports.TryRead(out var report)) yield return report;
        }
    }

    /// <summary>Ends the stream of reports, with what ended the job.</summary>
    public void EndReports(Exception? failure) => _reports.End(failure);

    /// <summary>Opens the journal, if the job keeps one, and takes up what it holds.</summary>
    public async Task OpenAsync()
    {
        if (life.Options.Journal is null) return;
        _journal = await _storage.OpenAsync(OpenJournalAsync(life.Options.Journal));
        life.Epoch = checked((int)_journal.Epoch);
        foreach (var warning in _journal.Warnings) Log.JournalWarning(life.Logger, warning);
        if (_journal.Recovered is not { } recovered) return;
        IsJobComplete = recovered.IsCompleted;
        Workflow = recovered.Workflow;
        LastRound = recovered.LastRound ?? 0;
        Model = recovered.Model ?? Model;
        foreach (var (name, tensors) in recovered.Snapshots)
            if (name.StartsWith(StatePrefix, StringComparison.Ordinal))
                State.Tensors[name[StatePrefix.Length..]] = tensors;
        State.Values = new FlareMap(recovered.Values);
        CommittedState = new RunState(State);
        ResumeCheck.Run(life, recovered);
        for (var i = 0; i < recovered.Reports.Count; i++)
        {
            var (workflow, _, map) = recovered.Reports[i];
            var report = RoundReport.FromMap(map);
            SiteStates.Read(map);
            if (i == recovered.Reports.Count - 1) report = report.Of(Model, CommittedState); // the others' are gone
            if (workflow == Workflow) LastReport = report;
            Announce(report);
        }
    }

    private async Task<RoundReport> CommitOneAsync(
        int round, StateDict model, RoundResult result, CancellationToken abort)
    {
        abort.ThrowIfCancellationRequested();
        if (round <= LastRound)
            throw new InvalidOperationException(
                $"Round {round} cannot be committed: round {LastRound} is committed already. Begin at "
                + $"{nameof(ControllerContext.LastCommittedRound)} + 1.");
        RequireLayout(round, model);
        Kept(model); // first: what is looked at must be what is committed
        foreach (var tensors in State.Tensors.Values) Kept(tensors);
        var state = new RunState(State);
        // Never done before it returns: a workflow that does not await it is found out each time, not now and then.
        await Task.Yield();
        if (life.IsDead) throw new OperationCanceledException();
        var isSmall = model.Layout.ByteLength <= life.Limits.SmallResultBytes;
        var bad = isSmall ? model.FirstNonFiniteTensor()
            : await life.Options.Compute.RunAsync(model.FirstNonFiniteTensor);
        if (bad is not null)
            throw new FlareException(
                ErrorIds.Aggregation,
                $"The model of round {round} cannot be committed: its tensor '{bad}' holds NaN or an infinity. Lower "
                    + "the server's or the sites' learning rate.");

        await ReaderAsync(round, abort);
        var context = new FLContext(life.Side);
        context.Set(ContextKeys.CurrentRound, round);
        context.Set(ContextKeys.GlobalModel, model);
        life.Events.Fire(EventTypes.BeforeLearnablePersist, context);
        var report = Report(round, result);
        var siteStates = SiteStates.Committing(Workflow, round);
        if (_journal is not null)
        {
            report = report with { ModelSha256 = await life.Options.Compute.RunAsync(model.Sha256) };
            var snapshots = state.Tensors.ToDictionary(t => StatePrefix + t.Key, t => t.Value, StringComparer.Ordinal);
            snapshots[JournalCommit.Model] = model;
            var commit = new JournalCommit
            {
                Workflow = Workflow, Round = round, Snapshots = snapshots, Values = state.Values,
                    Report = SiteStateRefs.Write(report.ToMap(), siteStates),
            };
            await _storage.AnswerAsync(_journal.CommitRoundAsync(commit), $"the commit of round {round}");
            // A crash while the commit was on its way to the disk: nothing is announced.
            if (life.IsDead) throw new OperationCanceledException();
        }
        report = report.Of(model, state);
        SiteStates.Commit(siteStates);
        Numbers.Count(report);
        (Model, LastRound, LastReport, CommittedState) = (model, round, report, state);
        (_late, _duplicates) = (_late - report.LateResults, _duplicates - report.DuplicateResults);
        _runs.RemoveAll(r => r.Task.Round <= round);
        _started = life.Time.GetTimestamp();
        life.Events.Fire(EventTypes.AfterLearnablePersist, context);
        Announce(report);
        Log.RoundCommitted(
            life.Logger.With(round: round), round, report.Accepted, report.Targets,
            Readable.Noun(report.Targets, "site"), report.Elapsed.TotalSeconds);
        life.Events.Fire(EventTypes.RoundDone, context);
        if (life.StopReason is not null && !(life.Options.Controllers[Workflow].PlannedRounds <= round)) life.Cancel();
        return report;
    }

    // Sites, journal and whoever reads the model count on it. A ciphertext's layout is the encryption's own matter.
    private void RequireLayout(int round, StateDict model)
    {
        var (job, layout) = (life.Options.InitialModel.Layout, model.Layout);
        if (EncryptedForm.Is(layout) || EncryptedForm.Is(job) || layout.DifferenceFrom(job) is not { } difference)
            return;
        throw new ArgumentException(
            $"The model of round {round} cannot be committed: its layout is not that of the job's model: {difference}. "
                + "A job trains one model: commit its tensors in their order, and keep others in State.Tensors.",
            nameof(model));
    }

    private void Announce(RoundReport report)
    {
        _turns.Told();
        _reports.Add(report);
    }

    // The model of a round is to be had as long as its report is looked at: only then is the next one committed.
    private async Task ReaderAsync(int round, CancellationToken abort)
    {
        if (!life.Options.WaitsForReader || _turns.IsWanted) return;
        var since = life.Time.GetTimestamp();
        var level = LogLevel.Information; // a pause is a reader's right; one that goes on holds up all sites
        var reminder = life.After(life.Limits.ReminderInterval, Remind);
        try
        {
            await _turns.WantedAsync(life.Abort, abort);
        }
        finally
        {
            reminder.Dispose();
        }

        void Remind()
        {
            var (logger, seconds) = (life.Logger.With(round: round), life.Time.GetElapsedTime(since).TotalSeconds);
            Log.ReaderIsAway(logger, level, round, life.Options.JobId, seconds);
            level = LogLevel.Warning;
            reminder = life.After(life.Limits.ReminderInterval, Remind);
        }
    }

    private RoundReport Report(int round, RoundResult result)
    {
        var runs = _runs.Where(r => r.Task.Round == round).ToArray();
        var main = runs.Length > 0 ? runs[0].Task.Name : null;
        var sites = runs.SelectMany(r => r.Outcomes(life.Time)).ToArray();
        return new RoundReport
        {
            Number = round,
            Workflow = life.Options.Controllers[Workflow].Name,
            Targets = sites.Count(s => s.Task == main),
            Accepted = sites.Count(s => s.Task == main && s.Status == SiteStatus.Accepted),
            Metrics = result.Metrics,
            IsBest = result.IsBest,
            Warnings = [.. result.Warnings, .. unread.AtCommit()],
            Sites = sites,
            Elapsed = life.Time.GetElapsedTime(_started ?? life.Time.GetTimestamp()),
            LateResults = _late,
            DuplicateResults = _duplicates,
        };
    }

    private async Task<Journal> OpenJournalAsync(Func<Task<IJournalStorage>> open)
    {
        var options = life.Options;
        try
        {
            return await Journal.OpenAsync(await open(), new JournalIdentity
            {
                JobId = options.JobId,
                Seed = unchecked((long)options.Seed),
                LayoutFingerprint = Model.Layout.Fingerprint,
                HasProvidedAggregator = options.CreateAggregator is not null,
                Workflows = string.Join(", ", options.Controllers.Select(c => c.Name)),
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FlareException(
                ErrorIds.Journal,
                $"The journal cannot be opened: {e.Message} Name a folder that this process can create and write.", e);
        }
    }

    private static StateDict Kept(StateDict tensors)
    {
        tensors.Freeze().Keep();
        return tensors;
    }
}
