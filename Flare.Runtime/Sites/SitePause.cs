namespace Flare.Runtime;

/// <summary>
/// A pause of a site (<see cref="SiteRuntime.Pause"/>): as long as one is not disposed of, the site begins no task.
/// </summary>
public sealed class SitePause : IDisposable
{
    private readonly TaskCompletionSource _quiet = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Action<SitePause>? _end;

    internal SitePause(string reason, Action<SitePause> end) => (Reason, _end) = (reason, end);

    /// <summary>Why, in the operator's words, cut at 1,024 characters; the server shows it where it waits.</summary>
    public string Reason { get; }

    /// <summary>
    /// Ends once no executor is at work: the task that ran when the pause began is over, or has stopped. Ends as well
    /// once the site goes on, with the last of its pauses, though an executor be at work then.
    /// </summary>
    public Task Quiet => _quiet.Task;

    /// <summary>Ends the pause: unless there is another one, the site goes on. From any thread.</summary>
    public void Dispose() => Interlocked.Exchange(ref _end, null)?.Invoke(this);

    internal void Calm() => _quiet.TrySetResult();
}
