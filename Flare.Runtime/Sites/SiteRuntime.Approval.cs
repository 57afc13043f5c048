namespace Flare.Runtime;

public sealed partial class SiteRuntime
{
    private const string NotApproved = "its operator has not approved the job yet";

    private SitePause? _unapproved;
    private CancellationTokenSource? _asking;
    private string? _asked;

    private bool NeedsApproval => _policy.RequiresApproval || _options.Approve is not null;

    // From the very start: an offer may overtake the welcome that says what is to be approved.
    private void AwaitApproval()
    {
        if (NeedsApproval) _unapproved ??= Pause(NotApproved);
    }

    // A server that has started again may mean something else by the same job.
    private void RequireApproval(JobTerms terms)
    {
        if (!NeedsApproval) return;
        var job = new JobToApprove
        {
            Site = Name,
            JobId = _options.JobId,
            Workflows = terms.Workflows,
            Layout = terms.Layout,
            Tasks = _definition.Table.Tasks,
            AnswersAnyTask = _definition.Table.Rest is not null,
            Policy = _policy,
            CommonPolicy = _options.PolicyFingerprint,
        };
        var sha256 = job.Sha256();
        if (_asked == sha256) return;
        _asked = sha256;
        AwaitApproval();
        StopAsking();
        _ = DetachAsync(ApproveAsync(job, sha256));
    }

    private async Task ApproveAsync(JobToApprove job, string sha256)
    {
        await _unapproved!.Quiet; // nothing else is at the storage then
        if (!await IsRememberedAsync(sha256))
        {
            if (IsOutdated(sha256)) return;
            Log.AsksForApproval(_side.Scoped, Name, job.ToString());
            var refusal = await AskAsync(job);
            if (IsOutdated(sha256)) return;
            if (refusal is not null)
            {
                await DeclineAsync(refusal);
                return;
            }
            await RememberAsync(sha256);
        }
        if (IsOutdated(sha256)) return;
        _unapproved?.Dispose();
        _unapproved = null;
    }

    private bool IsOutdated(string sha256) => _stopped || _ending || _asked != sha256;

    private async Task<string?> AskAsync(JobToApprove job)
    {
        if (_options.Approve is not { } approve) return "there is nobody to ask";
        var stop = _asking = new CancellationTokenSource();
        try
        {
            // It may take days, and none of the places for computing.
            var decision = await await _options.Compute.RunAsync(() => approve(job, stop.Token).AsTask());
            if (decision is null) return "the decision is none";
            return decision.Refusal is { } words ? PlainText.Of(words, MostReason) : null;
        }
        catch (Exception e)
        {
            if (stop.IsCancellationRequested) return "it is asked for no longer";
            Log.ApprovalFailed(_side.Scoped, e, Name);
            return $"its operator could not be asked ({e.GetType().Name})"; // the rest stays at the site
        }
    }

    private async Task<bool> IsRememberedAsync(string sha256)
    {
        try
        {
            return await _state.IsApprovedAsync(sha256);
        }
        catch (FlareException e)
        {
            Log.ApprovalNotKept(_side.Scoped, e, Name);
            return false;
        }
    }

    private async Task RememberAsync(string sha256)
    {
        try
        {
            await _state.ApproveAsync(sha256);
        }
        catch (FlareException e)
        {
            Log.ApprovalNotKept(_side.Scoped, e, Name);
        }
    }

    private async Task DeclineAsync(string reason)
    {
        Say(new SitePresence(PresenceKind.Declined, reason));
        _ending = true;
        foreach (var task in _tasks.Values) Stop(task);
        await EndRunAsync();
        _heartbeat?.Dispose();
        var error = new FlareException(
            ErrorIds.JobNotApproved,
            $"{Name} takes no part in job '{_options.JobId}', which its operator does not approve: {reason}.");
        Log.JobDeclined(_side.Scoped, error.Message);
        _ended.TrySetException(error);
    }

    private void StopAsking()
    {
        // Off the loop: what is registered with it is the application's code.
        if (Interlocked.Exchange(ref _asking, null) is { } asking) _ = StopAskingAsync(asking);
    }

    private async Task StopAskingAsync(CancellationTokenSource asking)
    {
        try
        {
            await _options.Compute.RunAsync(asking.Cancel);
        }
        catch (AggregateException e)
        {
            Log.ApprovalFailed(_side.Scoped, e, Name);
        }
    }
}
