namespace Flare.Reporting;

/// <summary>
/// A component of the server that draws the running round's progress in the terminal's last line: of the sites that
/// were asked to train, how many have been counted. Add it with <c>AddServerComponent</c>. Where the output is no
/// terminal, it only counts.
/// </summary>
public sealed class ProgressLine : FLComponent
{
    private const int Width = 24;
    private readonly Lock _lock = new();
    private readonly TextWriter _output;
    private readonly bool _live;
    private int _drawn;
    private int _asked;
    private int _accepted;

    /// <summary>A line of a terminal.</summary>
    /// <param name="output">Where to draw; the console unless given.</param>
    /// <param name="live">Whether it is a terminal, whose last line can be written over; unless given, whether the
    /// console is one.</param>
    public ProgressLine(TextWriter? output = null, bool? live = null)
    {
        _output = output ?? Console.Out;
        _live = live ?? (output is null && !Console.IsOutputRedirected);
    }

    /// <summary>Rounds begun in this process, as opposed to those that a journal told of.</summary>
    public int RoundsStarted { get; private set; }

    /// <summary>
    /// Removes the line from the terminal until the next event, so that something else can be written.
    /// </summary>
    public void Clear()
    {
        lock (_lock) Erase();
    }

    /// <summary>Writes lines in the place of the progress.</summary>
    internal void Write(string lines)
    {
        lock (_lock)
        {
            Erase();
            _output.Write(lines);
        }
    }

    /// <inheritdoc/>
    protected override void HandleEvent(string eventType, FLContext context)
    {
        lock (_lock)
        {
            if (eventType == EventTypes.RoundStarted) (RoundsStarted, _asked, _accepted) = (RoundsStarted + 1, 0, 0);
            else if (eventType == EventTypes.BeforeTrainTask) _asked++;
            else if (eventType == EventTypes.AfterContributionAccept) _accepted++;
            else return;
            if (!_live) return;
            var done = _asked == 0 ? 0 : Math.Min(Width, (int)((long)_accepted * Width / _asked));
            var line = $"        {new string('█', done)}{new string('·', Width - done)} {_accepted}/{_asked}";
            _output.Write($"\r{line.PadRight(_drawn)}");
            _drawn = line.Length;
        }
    }

    private void Erase()
    {
        if (_drawn > 0) _output.Write($"\r{new string(' ', _drawn)}\r");
        _drawn = 0;
    }
}
