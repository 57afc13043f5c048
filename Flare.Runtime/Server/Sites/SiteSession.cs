namespace Flare.Runtime;

/// <summary>A site, as the server sees it.</summary>
internal sealed class SiteSession(string name, JobLife life)
{
    // On a link that loses messages a receipt may be lost, and the result comes again: so many of the newest answers
    // are remembered.
    private const int AnswersKept = 64;

    private readonly Queue<long> _answered = new();
    private readonly Dictionary<long, string?> _refusals = [];

    public string Name => name;
    public long Incarnation { get; set; }

    /// <summary>The process that said hello with this incarnation.</summary>
    public Guid Process { get; set; }

    /// <summary>Whether the site is there: it has said hello and is not lost.</summary>
    public bool Connected { get; set; }

    /// <summary>
    /// Whether a server before this one had the site, which may not have heard of the job's end from it.
    /// </summary>
    public bool IsInherited { get; set; }

    /// <summary>Why its operator has paused it; null where it works.</summary>
    public string? Pause { get; set; }

    /// <summary>Why it has left; null where it has not.</summary>
    public string? Left { get; set; }

    /// <summary>Why it takes no part in the job; null where it does.</summary>
    public string? Declined { get; set; }

    /// <summary>Whether it has said that it goes: only another start of it is heard.</summary>
    public bool IsAway => Left is not null || Declined is not null;

    /// <summary>How often it has left; a lease that began with an earlier time is void.</summary>
    public int Departures { get; set; }

    /// <summary>The site for people, with what keeps it from working if something does.</summary>
    public string Shown => Standing.ToString();

    /// <summary>Whether nothing keeps the site from working.</summary>
    public bool IsAtWork => Standing is { IsConnected: true, Pause: null, Left: null, Declined: null };

    public SiteStanding Standing =>
        new(name) { IsConnected = Connected && !IsCutOff, Pause = Pause, Left = Left, Declined = Declined };

    public bool EndConfirmed { get; set; }

    /// <summary>Whether the end of the job waits for the site's confirmation.</summary>
    public bool IsAwaited => (Connected || IsInherited) && !EndConfirmed;
    public long LastHeard { get; set; }

    /// <summary>Assignments that are not closed.</summary>
    public Dictionary<long, Assignment> Open { get; } = [];

    public EventChannel Events { get; } = new(life.Limits.MaxPendingEvents, isBounded: !life.LosesNothing);

    /// <summary>What has begun to arrive.</summary>
    public MessageInbox Inbox { get; } = new(life.Options.JobId, fromServer: false);

    /// <summary>How often its link was lost; a lease that began with an earlier loss is void.</summary>
    public int Losses { get; set; }

    /// <summary>Whether its link has no session now.</summary>
    public bool IsCutOff { get; set; }

    /// <summary>Events for the site that found no room.</summary>
    public EventDrops Drops { get; } = new(life.Limits.MaxPendingEvents);

    public Assignment? Find(TaskToken token) =>
        Open.TryGetValue(token.Number, out var assignment) && assignment.Token == token ? assignment : null;

    public void RememberAnswer(long number, string? refusal)
    {
        _answered.Enqueue(number);
        _refusals[number] = refusal;
        if (_answered.Count > AnswersKept) _refusals.Remove(_answered.Dequeue());
    }

    public bool TryGetAnswer(TaskToken token, int epoch, out string? refusal)
    {
        refusal = null;
        return token.Epoch == epoch && _refusals.TryGetValue(token.Number, out refusal);
    }
}
