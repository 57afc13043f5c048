namespace Flare.Runtime;

/// <summary>Where an assignment stands at its site.</summary>
internal enum SiteTaskState
{
    /// <summary>Tensors that it brings are on their way.</summary>
    Fetching,
    Queued,
    Running,
    /// <summary>The result waits for an upload permit.</summary>
    Ready,
    /// <summary>The result is on its way and waits for its receipt.</summary>
    Sent,
    /// <summary>Received, refused or stopped: nothing is kept but the fact.</summary>
    Done,
}

/// <summary>
/// An assignment at its site. The result is kept until its receipt comes, so that a repeated request finds it again.
/// </summary>
internal sealed class SiteTask(
    TaskToken token, string name, Shareable data, IReadOnlyList<TensorsRef> contents, SiteStateRef stateRef = default)
    : IDisposable
{
    public TaskToken Token => token;
    public string Name => name;

    /// <summary>The task's id, the same at all sites.</summary>
    public string Id { get; } = data.Headers.TryGet(HeaderNames.TaskId, out var id) && id.Kind == FlareValueKind.Text
        ? id.AsText() : "";

    /// <summary>What the task brought; of a settled one only the headers.</summary>
    public Shareable Data { get; private set; } = data;

    /// <summary>The hashes of what it still lacks.</summary>
    public IReadOnlyCollection<string> Missing { get; private set; } =
        contents.Count == 0 ? [] : [.. contents.Select(c => c.Sha256).Distinct()];

    /// <summary>Puts tensors where they belong; without effect where they are of no use to it.</summary>
    public void Fill(string sha256, StateDict tensors)
    {
        if (!Missing.Contains(sha256)) return;
        foreach (var content in contents)
            if (content.Sha256 == sha256) Data = Data.WithBody(content.Put(Data.Body, tensors));
        Missing = [.. Missing.Where(m => m != sha256)];
        if (Missing.Count == 0) Data.Freeze();
    }

    /// <summary>The hashes of what was to be fetched and is here.</summary>
    public IEnumerable<string> Present => contents.Select(c => c.Sha256).Distinct().Except(Missing);

    /// <summary>The site's state that it goes on from.</summary>
    public SiteStateRef StateRef { get; set; } = stateRef;

    /// <summary>Its way to that state, while it runs.</summary>
    public SiteStateAccess? StateAccess { get; set; }

    /// <summary>What it did to the state; null where it left it alone.</summary>
    public SiteStateChange? StateChange { get; set; }

    /// <summary>Why it cannot be worked on; null where it can.</summary>
    public string? Obstacle { get; set; }

    public SiteTaskState State { get; set; }
    public Shareable? Result { get; set; }

    /// <summary>The result as it is sent, encoded once however often it is said.</summary>
    public LinkMessage? Envelope { get; set; }

    /// <summary>
    /// Ends what the runtime does for the task: its wait for a slot, and, after a grace, that for the executor.
    /// </summary>
    public CancellationTokenSource Abort { get; private set; } = new();

    /// <summary>
    /// The executor's own. Cancelled off the loop: what is registered with it is the application's code.
    /// </summary>
    public CancellationTokenSource ExecutorAbort { get; private set; } = new();
    public bool StopRequested { get; set; }

    /// <summary>Whether it was told to stop for a pause, to begin anew later.</summary>
    public bool IsPutOff { get; set; }

    /// <summary>When the result is sent again.</summary>
    public Backoff Repetition { get; } = new();

    /// <summary>Completes when the site need not keep the result any longer.</summary>
    public TaskCompletionSource Settled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>It waits again, as if it had not begun.</summary>
    public void PutOff()
    {
        (State, IsPutOff, StateAccess) = (SiteTaskState.Queued, false, null);
        (Abort, ExecutorAbort) = (new(), new());
    }

    public void Settle()
    {
        State = SiteTaskState.Done;
        (Result, Envelope) = (null, null);
        Data = Data.WithoutBody();
        Settled.TrySetResult();
    }

    public void Dispose() => Abort.Dispose();
}
