namespace Flare.Runtime;

public sealed partial class JobServer
{
    private const int MostReason = 1024;

    /// <summary>How all sites that are known now stand. Call it on the loop.</summary>
    public IReadOnlyList<SiteStanding> Standings => [.. _sites.Names.Select(n => _sites[n].Standing)];

    private void OnPresence(SiteSession session, SitePresence said)
    {
        var logger = _life.Logger.With(session.Name);
        var reason = PlainText.Of(said.Reason, MostReason);
        switch (said.Kind)
        {
            case PresenceKind.Paused:
                if (session.Pause != reason) Log.SiteIsPaused(logger, session.Name, reason);
                session.Pause = reason;
                break;
            case PresenceKind.Left:
                Log.SiteHasLeft(logger, session.Name, _options.Limits.SiteLease.TotalSeconds, reason);
                OnLeft(session, reason);
                break;
            case PresenceKind.Declined:
                Log.SiteDeclines(logger, session.Name, reason);
                _sites.Decline(session, reason);
                _tasks.OnDeclined(session, reason);
                break;
            default:
                if (session.Pause is not null) Log.SiteWorksAgain(logger, session.Name);
                session.Pause = null;
                break;
        }
    }

    // What it held is kept for it, as for one that is cut off: it may come back.
    private void OnLeft(SiteSession session, string reason)
    {
        _sites.Leave(session, reason);
        if (_sites.IsEnding) return;
        _tasks.OnCutOff(session);
        var departure = session.Departures;
        _life.After(_options.Limits.SiteLease, () =>
        {
            if (session.Left is null || session.Departures != departure) return;
            _tasks.OnLost(
                session, $"the site left ({(reason.Length > 0 ? reason : "without a reason")}) and did not come back "
                    + $"within {_options.Limits.SiteLease}");
        });
    }
}
