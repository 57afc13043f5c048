namespace Flare.Runtime;

/// <summary>
/// Looks at a hello before the site is let in: whoever is refused is told why, and so is the server's log.
/// </summary>
internal sealed class SiteDoor(JobLife life)
{
    // Who is refused says hello again until it has heard so: the log is told once of each, and forgets, so that
    // strangers cannot take its memory.
    private const int Remembered = 256;

    private readonly HashSet<(string Site, long Incarnation, Guid Process)> _refused = [];
    private readonly HelloTerms _terms = new(
        life.Options.JobId, life.Options.Seed, FlareProtocol.Version, life.Options.InitialModel.Layout.Fingerprint,
        life.Options.PolicyFingerprint);

    /// <summary>Whether a site may come in; if not, it has been told.</summary>
    /// <param name="hello">What it said.</param>
    /// <param name="session">The session of its name, if there is one.</param>
    /// <param name="names">The names of the job's sites.</param>
    public bool LetsIn(in Heard hello, SiteSession? session, IReadOnlyList<string> names)
    {
        var said = (SiteHello)hello.Message;
        if (said.Terms.DifferenceFrom(_terms) is { } difference) return Refuse(hello, difference);
        if (session is null) return LetsStrangerIn(hello, names);
        if (hello.Incarnation != session.Incarnation || said.Process == session.Process || session.IsAway)
            return true;
        return Refuse(hello, $"another process is, or was, this site with the same incarnation {hello.Incarnation}: "
            + "stop one of them, or, where it was started again, give it a higher incarnation at each start");
    }

    /// <summary>A process speaks although a later start of its site is known: it is told, should it be alive.</summary>
    public void Supersede(string site, long incarnation, SiteSession session) => life.Say(
        site, incarnation, new ServerRefusal(Guid.Empty,
            $"another process has started as this site since, with incarnation {session.Incarnation} where this one "
            + $"has {incarnation}: only one may run"));

    private bool LetsStrangerIn(in Heard hello, IReadOnlyList<string> names)
    {
        if (life.Options.IsRosterClosed)
            return Refuse(hello, "the job's roster is closed and does not name the site: check the spelling, or add it",
                DidYouMean.Suggest(hello.Site, names));
        if (hello.Site == FLContext.Server)
            return Refuse(hello, $"the name '{hello.Site}' is the server's own: name the site otherwise");
        try
        {
            SiteName.Check(hello.Site, nameof(hello));
        }
        catch (ArgumentException e)
        {
            return Refuse(hello, e.Message);
        }
        return true;
    }

    /// <param name="hello">What is refused.</param>
    /// <param name="reason">Why; both ends are told.</param>
    /// <param name="hint">For the server's log alone: a stranger is not told the names of others.</param>
    private bool Refuse(in Heard hello, string reason, string hint = "")
    {
        var process = ((SiteHello)hello.Message).Process;
        if (_refused.Count == Remembered) _refused.Clear();
        if (_refused.Add((hello.Site, hello.Incarnation, process)))
        {
            var site = PlainText.Of(hello.Site, 200);
            Log.SiteRefused(life.Logger.With(site), site, hello.Incarnation, reason + hint);
        }
        life.Say(hello.Site, hello.Incarnation, new ServerRefusal(process, reason));
        return false;
    }
}
