using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;

namespace Flare.Runtime;

/// <summary>
/// The reports that nobody has read yet. The newest keep their models; the others lose them, so that a job whose
/// reports nobody reads does not keep every model that it ever had.
/// </summary>
internal sealed class ReportQueue : ChannelReader<RoundReport>
{
    /// <summary>How many unread reports keep their models.</summary>
    public const int ModelsKept = 4;

    private readonly Channel<Unread> _reports = Channel.CreateUnbounded<Unread>();
    private readonly Queue<Unread> _newest = new(); // the writer's own

    public override Task Completion => _reports.Reader.Completion;

    public override bool CanCount => true;

    public override int Count => _reports.Reader.Count;

    /// <summary>Adds a report. On the loop.</summary>
    public void Add(RoundReport report)
    {
        var unread = new Unread(report);
        _newest.Enqueue(unread);
        if (_newest.Count > ModelsKept) _newest.Dequeue().LoseModel();
        _reports.Writer.TryWrite(unread);
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

        public void LoseModel()
        {
            if (Volatile.Read(ref _report) is { } whole)
                Interlocked.CompareExchange(ref _report, whole.WithoutModel(), whole);
        }
    }
}
