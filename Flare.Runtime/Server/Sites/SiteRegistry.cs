namespace Flare.Runtime;

/// <summary>The sites of a job: who is known, who is there, who was lost, who has heard of the end.</summary>
internal sealed class SiteRegistry(JobLife life)
{
    private const int MostReason = 8 * 1024;

    private readonly SiteDoor _door = new(life);
    private readonly JobTerms _terms = new(
        [.. life.Options.Controllers.Select(c => c.Name)], life.Options.InitialModel.Layout.Fingerprint);
    private readonly Dictionary<string, SiteSession> _sessions = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string[]? _snapshot;
    private int _firstMissing;
    private bool _ending;

    /// <summary>
    /// The names of all sites known now, in the order in which they became known; not changed by those that join later.
    /// </summary>
    public IReadOnlyList<string> Names => _snapshot ??= [.. _names];

    public IEnumerable<SiteSession> All => _sessions.Values;
    public int Count => _names.Count;
    public SiteSession this[string site] => _sessions[site];
    public bool IsKnown(string site) => _sessions.ContainsKey(site);
    public SiteSession? Find(string site) => _sessions.GetValueOrDefault(site);

    public SiteSession Add(string name)
    {
        var session = new SiteSession(name, life)
        {
            LastHeard = life.Time.GetTimestamp(),
        };
        _sessions.Add(name, session);
        _names.Add(name);
        _snapshot = null;
        return session;
    }

    /// <summary>
    /// A server that resumes a job over a link that loses messages may have sites that wait for the end of it.
    /// </summary>
    public void Inherit()
    {
        if (life.LosesNothing || life.Epoch == 1) return;
        foreach (var session in All) session.IsInherited = true;
    }

    /// <summary>
    /// The session that a message is of; null, with an answer where one is due, where the message is not to be acted
    /// on.
    /// </summary>
    public SiteSession? Hear(string site, long incarnation)
    {
        if (Find(site) is not { } session || incarnation > session.Incarnation)
        {
            life.Say(site, incarnation, new ServerWelcome(HelloNeeded: true));
            return null;
        }
        if (incarnation < session.Incarnation)
        {
            // A straggler, which nobody hears any more, or a second process.
            _door.Supersede(site, incarnation, session);
            return null;
        }
        if (session.IsAway)
        {
            // A straggler of the one that has left, or another that has not said hello.
            life.Say(site, incarnation, new ServerWelcome(HelloNeeded: true));
            return null;
        }
        Touch(session);
        return session;
    }

    /// <summary>A site says hello. Null where it is a straggler, or refused.</summary>
    public SiteSession? Welcome(in Heard hello, out bool isNew, out bool isFresh)
    {
        isFresh = false;
        var session = Find(hello.Site);
        isNew = session is null;
        if (session is not null && hello.Incarnation < session.Incarnation)
        {
            _door.Supersede(hello.Site, hello.Incarnation, session);
            return null;
        }
        if (!_door.LetsIn(hello, session, Names)) return null;
        session ??= Add(hello.Site);
        var process = ((SiteHello)hello.Message).Process;
        if (session.IsAway && process == session.Process) return null; // said before it left
        isFresh = hello.Incarnation > session.Incarnation || session.IsAway;
        Touch(session);
        session.Pause = null; // said again where it is so
        if (isFresh)
        {
            (session.Left, session.Declined) = (null, null);
            (session.Incarnation, session.Process) = (hello.Incarnation, process);
            session.Events.Restart();
            session.Inbox.Clear();
            Log.SiteJoined(life.Logger.With(hello.Site), hello.Site, hello.Incarnation);
            if (isNew && life.Options.Sites is { Count: > 0 } named)
                Log.SiteNotNamed(
                    life.Logger.With(hello.Site), hello.Site, DidYouMean.Suggest(hello.Site, named));
        }
        life.Say(session, new ServerWelcome(Terms: _terms));
        return session;
    }

    /// <summary>Whether a site was not heard of for longer than its lease.</summary>
    public bool IsSilent(SiteSession session) => life.Time.GetElapsedTime(session.LastHeard) > life.Limits.SiteLease;

    public void Lose(SiteSession session)
    {
        (session.Connected, session.IsInherited) = (false, false);
        Log.SiteLost(life.Logger.With(session.Name), session.Name, life.Limits.SiteLease.TotalSeconds);
        CheckDrained();
    }

    /// <summary>A site has left: the end does not wait for it.</summary>
    public void Leave(SiteSession session, string reason)
    {
        (session.Left, session.Connected, session.Pause) = (reason, false, null);
        session.Departures++;
        CheckDrained();
    }

    /// <summary>A site takes no part: neither does the end wait for it.</summary>
    public void Decline(SiteSession session, string reason)
    {
        (session.Declined, session.Connected, session.Pause) = (reason, false, null);
        CheckDrained();
    }

    public bool IsEnding => _ending;

    public void ConfirmEnd(SiteSession session)
    {
        if (!_ending) return;
        session.EndConfirmed = true;
        CheckDrained();
    }

    /// <summary>Says the end again to a site that has not confirmed it.</summary>
    public void RepeatEnd(SiteSession session)
    {
        if (_ending && session.IsAwaited) SayEnd(session);
    }

    public void SayEnd(SiteSession session) =>
        life.Say(session, new JobEnd("the job is over"));

    /// <summary>Tells all sites that the job is over, and waits, within a bound, until they have heard.</summary>
    public async Task DrainAsync(string reason)
    {
        _ending = true;
        foreach (var session in All)
            if (session is { IsAwaited: true, Connected: true })
                life.Say(session, new JobEnd(PlainText.Of(reason, MostReason)));
        CheckDrained();
        using (life.After(life.Limits.DrainTimeout, () => _drained.TrySetResult())) await _drained.Task;
        var silent = All.Count(s => s.IsAwaited);
        if (silent > 0)
            Log.DrainIncomplete(
                life.Logger, silent, Readable.Noun(silent, "site"), life.Options.JobId,
                life.Limits.DrainTimeout.TotalSeconds);
    }

    /// <summary>Waits no longer, as after a crash.</summary>
    public void Abandon() => _drained.TrySetResult();

    private void Touch(SiteSession session)
    {
        session.LastHeard = life.Time.GetTimestamp();
        session.Connected = true;
    }

    private void CheckDrained()
    {
        if (!_ending) return;
        // Ten thousand sites are not gone through for each confirmation: those before the first that is missing are
        // done.
        while (_firstMissing < _names.Count && !_sessions[_names[_firstMissing]].IsAwaited) _firstMissing++;
        if (_firstMissing == _names.Count && !All.Any(s => s.IsAwaited)) _drained.TrySetResult();
    }
}
