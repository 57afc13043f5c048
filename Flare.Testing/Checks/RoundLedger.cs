using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// Everything that was ever announced. A server that starts again announces its journal's rounds first: they must be
/// all that any server before it announced, unchanged and in order, and what follows must rise.
/// </summary>
internal sealed class RoundLedger(int workflows, Action<string> fail)
{
    private readonly List<RoundReport> _announced = [];
    private int _position;
    private int _workflow;

    public IReadOnlyList<RoundReport> Announced => _announced;

    /// <summary>Another server starts, and has everything to announce again.</summary>
    public void ServerStarts() => _position = 0;

    public void Announce(RoundReport report)
    {
        // Sites of the rig are honest: what they sent and was refused so was mangled on its way.
        foreach (var site in report.Sites.Where(s => s.Status == SiteStatus.Rejected))
            if (site.Error?.Type is ErrorIds.MalformedBytes or ErrorIds.MalformedMessage)
                fail($"round {report.Number} has refused the answer of {site.Site} as malformed: {site.Reason}");
        if (_position < _announced.Count)
        {
            var known = _announced[_position++];
            var (was, isNow) = (UnitParts.MapOf(known), UnitParts.MapOf(report));
            if (!isNow.ContentEquals(was))
                fail($"announced round {known.Number} was changed: it was {was}, and is {isNow}");
            return;
        }
        if (_announced.Count > 0 && report.Number <= _announced[^1].Number && ++_workflow >= workflows)
            fail(
                $"round {report.Number} was announced after round {_announced[^1].Number}: either it was committed "
                    + "twice, or announced before it was durable");
        _announced.Add(report);
        _position++;
    }

    /// <summary>The job is over: what its last server announced is all.</summary>
    public void ServerEnds()
    {
        if (_position < _announced.Count)
            fail(
                $"announced round {_announced[_position].Number} is lost: the last server knows of {_position} "
                    + $"rounds, and {_announced.Count} were announced");
    }
}
