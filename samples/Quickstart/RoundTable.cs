using Flare;
using Flare.Learning;

/// <summary>Prints a row a round; on a terminal, the running round's progress in its last line.</summary>
internal sealed class RoundTable
{
    public RoundTable(Options options, IReadOnlyList<Dataset> shards)
    {
        Progress = new ProgressLine(options.Sites);
        Console.WriteLine($"{options.Sites} sites, digits split by Dirichlet α = {options.Alpha}: {string.Join(", ", shards.Select(s => s.Count))} samples");
        Console.WriteLine("central: the same model trained in one place, on all samples at once; *: the best model so far\n");
        Console.WriteLine("round   sites   accuracy   central     loss   seconds");
    }

    public ProgressLine Progress { get; }

    public void Add(RoundReport round, double central)
    {
        Progress.Clear();
        Console.WriteLine($"{round.Number,5}   {$"{round.Accepted}/{round.Targets}",5}   {Percent(round.Metrics["accuracy"]),8}   {Percent(central),7}   {round.Metrics["loss"],6:F3}   {round.Elapsed.TotalSeconds,7:F2}{(round.IsBest ? "  *" : "")}");
    }

    public static string Percent(double share) => $"{share * 100:F1}%";
}

/// <summary>A component of the server that draws a bar as contributions are accepted.</summary>
internal sealed class ProgressLine(int sites) : FLComponent
{
    private readonly bool _live = !Console.IsOutputRedirected;
    private int _accepted;

    /// <summary>Rounds begun here, not told by the journal.</summary>
    public int Rounds { get; private set; }

    protected override void HandleEvent(string eventType, FLContext context)
    {
        if (eventType == EventTypes.RoundStarted) Rounds++;
        if (!_live) return;
        if (eventType == EventTypes.RoundStarted) _accepted = 0;
        else if (eventType == EventTypes.AfterContributionAccept) _accepted++;
        else return;
        Console.Write($"\r        {new string('█', _accepted * 24 / sites).PadRight(24, '·')} {_accepted}/{sites}");
    }

    public void Clear()
    {
        if (_live) Console.Write($"\r{new string(' ', 48)}\r");
    }
}
