namespace Flare;

/// <summary>
/// Identifies one assignment of a task to one site. The runtime issues it and attaches it to the answer: what a
/// contribution belongs to is never taken from the site's word.
/// </summary>
/// <param name="Job">The job's id.</param>
/// <param name="Epoch">How often the job's server has started; results of an earlier epoch are refused.</param>
/// <param name="Round">The round.</param>
/// <param name="Number">The assignment's number in its epoch.</param>
public readonly record struct TaskToken(string Job, int Epoch, int Round, long Number);
