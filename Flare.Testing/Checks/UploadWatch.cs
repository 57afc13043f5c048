using Flare.Runtime;

namespace Flare.Testing;

/// <summary>
/// Watches large results on the network and at the server's events: none is sent without a permit, and never are more
/// of them at the server, arrived and not consumed by the controller yet, than there are permits, and one for each
/// further task. It knows nothing of how the server keeps count.
/// </summary>
internal sealed class UploadWatch(RuntimeLimits limits, Action<string> fail) : FLComponent
{
    private readonly Dictionary<long, Contribution?> _held = [];
    private readonly Dictionary<long, string> _tasks = [];
    private readonly HashSet<long> _arrived = [];
    private readonly HashSet<(string Site, int Epoch, long Number)> _permitted = [];
    private int _epoch;

    /// <summary>The most that were held at once.</summary>
    public int Most { get; private set; }

    public void ServerStarts()
    {
        _held.Clear();
        _arrived.Clear();
        _tasks.Clear();
        _epoch = 0; // until it speaks, it takes nothing
    }

    public void SiteStarts(string site) => _permitted.RemoveWhere(p => p.Site == site);

    public void OnSiteReceives(string site, LinkMessage message)
    {
        var head = message.Head;
        if (head.Kind == FrameKind.UploadPermit) _permitted.Add((site, head.Epoch, head.Number));
    }

    public void OnSiteSends(string site, LinkMessage message)
    {
        if (message.Record is TaskResult result && IsLarge(result)
            && !_permitted.Contains((site, result.Token.Epoch, result.Token.Number)))
            fail($"{site} sent the large result of task {result.Token.Number} without a permit");
    }

    public void OnServerReceives(string site, LinkMessage message)
    {
        if (message.Record is TaskResult result && IsLarge(result) && result.Token.Epoch == _epoch
            && _arrived.Add(result.Token.Number))
            _tasks[result.Token.Number] = result.Result.Headers[HeaderNames.TaskId].AsText();
    }

    public void OnServerSends(string site, LinkMessage message)
    {
        _epoch = message.Head.Epoch;
        if (message.Record is not ResultReceipt { Refusal: not null } receipt || receipt.Token.Epoch != _epoch) return;
        _held.Remove(receipt.Token.Number);
    }

    /// <summary>Looks whether the bound holds. Called once the server has dealt with a message.</summary>
    public void Check()
    {
        foreach (var (number, contribution) in _held)
            if (contribution is not null && UnitParts.IsConsumed(contribution)) _held.Remove(number);
        Most = Math.Max(Most, _held.Count);
        if (_held.Count <= limits.MaxConcurrentUploads) return;
        var tasks = _held.Keys.Select(number => _tasks[number]).Distinct().Count();
        if (_held.Count > limits.MaxConcurrentUploads + tasks - 1)
            fail(
                $"the server held {_held.Count} large results at once, of assignments "
                    + $"{string.Join(", ", _held.Keys)} of {tasks} tasks, where {limits.MaxConcurrentUploads} are "
                    + "allowed, and one for each further task");
    }

    protected override void HandleEvent(string eventType, FLContext context)
    {
        if (context.Token is not { } token || !_arrived.Contains(token.Number)) return;
        // The first event of a result that the server takes; stragglers that it ignores fire none.
        if (eventType == EventTypes.BeforeTaskResultFilter) _held[token.Number] = null;
        else if (eventType == EventTypes.AfterProcessSubmission && _held.ContainsKey(token.Number)
            && context.TryGet(ContextKeys.Contribution, out var contribution)) _held[token.Number] = contribution;
    }

    private bool IsLarge(TaskResult result) => UnitParts.IsLarge(result.Result, limits);
}
