namespace Flare.Workflows;

/// <summary>
/// Chooses who takes part in a round. Derive from it to choose in another way; one instance may serve several rounds,
/// and after a resume it must choose what it would have chosen: take what is random from the job's seed and the round.
/// </summary>
public abstract class SiteSampling
{
    /// <summary>The round's sites, each once and at least one; it is asked once a round, on the job's loop.</summary>
    /// <param name="context">The sites that are known, the job's seed, the state.</param>
    /// <param name="round">The round, from 1.</param>
    public abstract IReadOnlyList<string> Choose(ControllerContext context, int round);

    /// <summary>How many sites it chooses of a number of them, at most; all of them unless overridden.</summary>
    public virtual int MostOf(int sites) => sites;

    /// <summary>What is wrong with its settings for a number of sites; nothing where all is well.</summary>
    public virtual IEnumerable<string> Validate(int sites) => [];

    /// <summary>All sites that are known when the round begins.</summary>
    public static SiteSampling All { get; } = new AllSites();

    /// <summary>
    /// A number of sites, each subset equally likely, the same for the same seed and round; in the order in which they
    /// became known.
    /// </summary>
    /// <param name="count">How many, at least 1.</param>
    public static SiteSampling Uniform(int count) => new UniformSampling(count);

    private sealed class AllSites : SiteSampling
    {
        public override IReadOnlyList<string> Choose(ControllerContext context, int round)
        {
            ArgumentNullException.ThrowIfNull(context);
            return [.. context.Sites];
        }
    }
}
