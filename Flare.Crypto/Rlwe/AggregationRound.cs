namespace Flare.Crypto;

/// <summary>
/// The round that an upload or a sum belongs to. It is authenticated: an upload counts in no other round.
/// </summary>
/// <param name="Job">The job's name: 1 to 255 bytes of UTF-8.</param>
/// <param name="Number">The round's number in the job.</param>
public sealed record AggregationRound(string Job, long Number)
{
    /// <summary>The job and the round, as messages show them.</summary>
    public override string ToString() => $"round {Number} of job '{Job}'";
}

/// <summary>Runs <paramref name="process"/> for every chunk from 0 to <paramref name="chunks"/> - 1, in any order and
/// on any threads, and returns when all are done. Results do not depend on how.</summary>
public delegate void ChunkLoop(int chunks, Action<int> process);
