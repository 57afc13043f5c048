namespace Flare.Runtime;

/// <summary>
/// Which of a site's states a task is to go on from. The site keeps the states and the server this reference, with the
/// rounds in its journal: so what is taken back with them at the server is taken back at the site.
/// </summary>
/// <param name="Current">What the site's last used answer left; 0 for none.</param>
/// <param name="Committed">What it was as of the last committed round.</param>
/// <param name="Before">What it was as of the commit before, which a journal whose last snapshot is damaged goes back
/// to; older ones are not asked for again.</param>
internal readonly record struct SiteStateRef(long Current, long Committed, long Before);

/// <summary>What a task did to its site's state; said with its answer.</summary>
/// <param name="From">The state that the task found; 0 for none.</param>
/// <param name="To">The state that it left.</param>
internal readonly record struct SiteStateChange(long From, long To);
