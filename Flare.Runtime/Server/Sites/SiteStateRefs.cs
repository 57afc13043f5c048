namespace Flare.Runtime;

/// <summary>
/// Which state each site is to go on from: that of its last used answer. It is committed with the rounds, so a server
/// that resumes refers to what was as of its last one.
/// </summary>
internal sealed class SiteStateRefs
{
    private const string Key = "site_states";

    private readonly Dictionary<string, Chain> _sites = new(StringComparer.Ordinal);

    /// <summary>What a site's next task goes on from.</summary>
    public SiteStateRef Of(string site) => _sites.TryGetValue(site, out var chain) ? chain.Reference : default;

    /// <summary>An answer is about to be used. Returns why it cannot be; null where it can.</summary>
    public string? Use(string site, SiteStateChange change, int workflow, int round)
    {
        if (!_sites.TryGetValue(site, out var chain)) _sites.Add(site, chain = new Chain());
        if (change.From != chain.Reference.Current || change.To <= 0)
        {
            return "its task went on from a state of the site that another answer has changed, or taken back, since; "
                + "give one site tasks that change its state one after the other";
        }
        chain.Pending.Add((workflow, round, change));
        return null;
    }

    /// <summary>A workflow refuses an answer that was used.</summary>
    public void TakeBack(string site, SiteStateChange change)
    {
        if (!_sites.TryGetValue(site, out var chain)) return;
        var index = chain.Pending.FindIndex(p => p.Change == change);
        if (index >= 0) chain.Pending.RemoveRange(index, chain.Pending.Count - index); // with what built on it
    }

    /// <summary>A round begins again: sites go on from what was before it.</summary>
    public void Forget(int workflow, int round)
    {
        foreach (var chain in _sites.Values)
        {
            var first = chain.Pending.FindIndex(p => (p.Workflow, p.Round) == (workflow, round));
            if (first >= 0) chain.Pending.RemoveRange(first, chain.Pending.Count - first); // with what built on it
        }
    }

    /// <summary>What a commit of a round makes lasting.</summary>
    public FlareMap? Committing(int workflow, int round)
    {
        FlareMap? map = null;
        foreach (var (site, chain) in _sites)
            if (chain.Last(workflow, round) is >= 0 and var last) (map ??= [])[site] = chain.Pending[last].Change.To;
        return map;
    }

    /// <summary>Adds to a report, as it is journalled, what its commit makes lasting.</summary>
    public static FlareMap Write(FlareMap report, FlareMap? committing)
    {
        if (committing is not null) report[Key] = committing;
        return report;
    }

    /// <summary>The round is durable.</summary>
    public void Commit(FlareMap? committing)
    {
        foreach (var chain in _sites.Values) chain.CommitNothing();
        foreach (var (site, state) in committing ?? [])
        {
            if (!_sites.TryGetValue(site, out var changed)) _sites.Add(site, changed = new Chain());
            changed.Commit(state.AsInteger());
        }
    }

    /// <summary>Takes up what a report in the journal says.</summary>
    public void Read(FlareMap report) => Commit(report.TryGet(Key, out var states) ? states.AsMap() : null);

    /// <summary>A site's states since the last commit, each made of the one before.</summary>
    private sealed class Chain
    {
        private long _committed, _before;

        public List<(int Workflow, int Round, SiteStateChange Change)> Pending { get; } = [];

        public SiteStateRef Reference =>
            new(Pending.Count > 0 ? Pending[^1].Change.To : _committed, _committed, _before);

        public int Last(int workflow, int round) =>
            Pending.FindLastIndex(p => (p.Workflow, p.Round).CompareTo((workflow, round)) <= 0);

        public void CommitNothing() => _before = _committed;

        public void Commit(long state)
        {
            Pending.RemoveRange(0, Pending.FindIndex(p => p.Change.To == state) + 1);
            _committed = state;
        }
    }
}
