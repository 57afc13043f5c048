using System.Collections;

namespace Flare.Runtime;

/// <summary>
/// The reports of a run's rounds, without their models. One thread adds; what <see cref="All"/> gave any thread may
/// read, at any time. Beyond a number of sites' outcomes the oldest reports are thinned out.
/// </summary>
/// <param name="outcomesKept">How many outcomes are kept in all.</param>
internal sealed class RoundHistory(int outcomesKept)
{
    private RoundReport[] _reports = [];
    private int _count;
    private int _outcomes;
    private int _thinned;
    private volatile View _all = new([], 0);

    /// <summary>The reports so far. Later ones are not added to it.</summary>
    public IReadOnlyList<RoundReport> All => _all;

    public void Add(RoundReport report)
    {
        if (_count == _reports.Length) Array.Resize(ref _reports, Math.Max(16, 2 * _count));
        _reports[_count++] = report.WithoutModel();
        _outcomes += report.Sites.Count;
        for (; _outcomes > outcomesKept && _thinned < _count - 1; _thinned++)
        {
            var old = _reports[_thinned];
            var thin = old.Thinned();
            _outcomes -= old.Sites.Count - thin.Sites.Count;
            _reports[_thinned] = thin; // a reader sees the one or the other
        }
        _all = new(_reports, _count);
    }

    private sealed class View(RoundReport[] reports, int count) : IReadOnlyList<RoundReport>
    {
        public int Count => count;

        public RoundReport this[int index] => index >= 0 && index < count
            ? reports[index]
            : throw new ArgumentOutOfRangeException(nameof(index), index, $"There are {count} reports.");

        public IEnumerator<RoundReport> GetEnumerator()
        {
            for (var i = 0; i < count; i++) yield return reports[i];
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
