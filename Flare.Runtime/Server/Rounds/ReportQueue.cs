using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;

namespace Flare.Runtime;

/// <summary>
/// The reports that nobody has read yet. The newest keep their models, and the others lose them; beyond a number the
/// oldest go altogether, so that a job whose reports nobody reads keeps neither every model that it ever had nor every
/// report.
/// </summary>
/// <param name="most">How many unread reports are kept; null for all, where the job waits for its reader.</param>
/// <param name="onFirstDropped">Called on the loop when the first one goes.</param>
internal sealed class ReportQueue(int? most, Action onFirstDropped) : ChannelReader<RoundReport>
{
    /// <summary>How many unread reports keep their models.</summary>
    public const int ModelsKept = 4;

    /// <summary>How many unread reports a server keeps whose job waits for no reader.</summary>
    public const int ReportsKept = 1000;

    private readonly Channel<Unread> _reports = Channel.CreateUnbounded<Unread>();
    private readonly Queue<Unread> _newest = new(); // the writer's own
    private long _dropped;

    /// <summary>How many reports went unread.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    public override Task Completion => _reports.Reader.Completion;

    public override bool CanCount => true;

    public override int Count => _reports.Reader.Count;

    /// <summary>Adds a report. On the loop.</summary>
    public void Add(RoundReport report)
    {
        var unread = new Unread(report);
        _newest.Enqueue(unread);
        if (_newest.Count > ModelsKept) _newest.Dequeue().Shrink();
        _reports.Writer.TryWrite(unread);
        while (_reports.Reader.Count > most && _reports.Reader.TryRead(out _))
            if (Interlocked.Increment(ref _dropped) == 1) onFirstDropped();
    }

    /// <summary>No report follows.</summary>
    public void End(Exception? failure) => _reports.Writer.TryComplete(failure);

    public override bool TryRead([MaybeNullWhen(false)] out RoundReport item)
    {
        item = _reports.Reader.TryRead(out var unread) ? unread.Take() : null;
        return item is not null;
    }

    public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default) =>
        _reports.Reader.WaitToReadAsync(cancellationToken);

    // One thread takes while another thins out: whoever has taken a report has it as it is.
    private sealed class Unread(RoundReport report)
    {
        private RoundReport? _report = report;

        public RoundReport? Take() => Interlocked.Exchange(ref _report, null);

        /// <summary>Without its model, and, of very many sites, without those whose answer was used.</summary>
        public void Shrink()
        {
            if (Volatile.Read(ref _report) is { } whole)
                Interlocked.CompareExchange(ref _report, whole.WithoutModel().ThinnedIfLarge(), whole);
        }
    }
}
