namespace Flare;

/// <summary>The runtime's limits and intervals, each with the default that a federation has unless it says
/// otherwise.</summary>
public sealed record RuntimeLimits
{
    /// <summary>
    /// How many large results the server takes at once, at least 1; further ones wait at their sites. The server's
    /// memory is a constant number of models, whatever the number of sites. 8 unless set.
    /// </summary>
    public int MaxConcurrentUploads { get; init; } = 8;

    /// <summary>
    /// How many bytes of large results the server of a job takes at once: from the permit for one until the controller
    /// has had it. Further ones wait at their sites, small messages do not. One that is larger by itself comes alone.
    /// 4 GiB unless set.
    /// </summary>
    public long UploadBudgetBytes { get; init; } = 4L << 30;

    /// <summary>
    /// Results of at most this many bytes are sent without asking for a permit, and a task brings tensors of at most
    /// so many along. Everything counts: tensors, bytes, and text, names and numbers as they lie in memory (two bytes a
    /// character, 24 a value). 16 KiB unless set.
    /// </summary>
    public long SmallResultBytes { get; init; } = 16 * 1024;

    /// <summary>
    /// How many models are on their way from the server to sites at once, at least 1; further sites wait. A model is on
    /// its way from when a site may have it until the site has it, so the server keeps a constant number of models
    /// ready for sending, whatever the number of sites. In one process nothing is sent. 8 unless set.
    /// </summary>
    public int MaxConcurrentDownloads { get; init; } = 8;

    /// <summary>
    /// How many bytes of models are on their way from the server of a job at once; further sites wait, small messages
    /// do not. A model that is larger by itself goes to one site after the other. 4 GiB unless set.
    /// </summary>
    public long DownloadBudgetBytes { get; init; } = 4L << 30;

    /// <summary>
    /// How many models a site keeps by their content, from 0: validation after a round and the next round's training
    /// bring the same one, which is sent once. In one process nothing is kept. 2 unless set.
    /// </summary>
    public int ModelsKeptAtSite { get; init; } = 2;

    /// <summary>
    /// The longest message that is taken from a link, in bytes, tensors included; at least 32 MiB. Whoever is at the
    /// other end cannot make a process allocate more for one. 16 GiB unless set.
    /// </summary>
    public long MaxMessageBytes { get; init; } = 16L << 30;

    /// <summary>
    /// How many federated events may wait for one peer to confirm them; at least 1. When so many do, further ones are
    /// dropped, with a warning in the log: events are for watching, and must not take the memory of a job whose peer is
    /// away. 10,000 unless set.
    /// </summary>
    public int MaxPendingEvents { get; init; } = 10_000;

    /// <summary>On links that lose messages: how long to wait for an answer before repeating a message. 200 ms unless
    /// set.</summary>
    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>On links that lose messages: how often a silent site shows that it is alive. 1 s unless set.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a site may be silent before it counts as lost, and the tasks it holds with it. 30 s unless
    /// set.</summary>
    public TimeSpan SiteLease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a task, or a commit, waits before the log says, and then again and again, for whom. 30 s
    /// unless set.</summary>
    public TimeSpan ReminderInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long an executor has to stop after its token was cancelled, before it is abandoned. 5 s unless set.
    /// </summary>
    public TimeSpan AbortGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long the end of a job waits for its sites. 10 s unless set.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a job that was told to end waits for a journal's storage that does not answer, such as a network's
    /// folder; the job then ends without its answer, and says so. A job that goes on waits for it, and says so in the
    /// log each time this has passed. 30 s unless set.
    /// </summary>
    public TimeSpan StorageGrace { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What is wrong with the limits; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        if (MaxConcurrentDownloads < 1)
            yield return $"{nameof(MaxConcurrentDownloads)} is {MaxConcurrentDownloads}; it must be at least 1";
        if (ModelsKeptAtSite < 0)
            yield return $"{nameof(ModelsKeptAtSite)} is {ModelsKeptAtSite}; it must not be negative";
        if (MaxConcurrentUploads < 1)
            yield return $"{nameof(MaxConcurrentUploads)} is {MaxConcurrentUploads}; it must be at least 1";
        foreach (var (name, value) in new[]
        {
            (nameof(UploadBudgetBytes), UploadBudgetBytes), (nameof(DownloadBudgetBytes), DownloadBudgetBytes),
        })
        {
            if (value < 1) yield return $"{name} is {value}; it must be at least 1";
        }
        if (MaxMessageBytes < Runtime.MessageInbox.MostSmall)
            yield return $"{nameof(MaxMessageBytes)} is {MaxMessageBytes}; it must be at least "
                + $"{Runtime.MessageInbox.MostSmall}";
        if (MaxPendingEvents < 1)
            yield return $"{nameof(MaxPendingEvents)} is {MaxPendingEvents}; it must be at least 1";
        if (SmallResultBytes < 0)
            yield return $"{nameof(SmallResultBytes)} is {SmallResultBytes}; it must not be negative";
        (string, TimeSpan)[] times =
        [
            (nameof(RetryInterval), RetryInterval), (nameof(HeartbeatInterval), HeartbeatInterval),
            (nameof(SiteLease), SiteLease), (nameof(AbortGrace), AbortGrace), (nameof(DrainTimeout), DrainTimeout),
            (nameof(ReminderInterval), ReminderInterval), (nameof(StorageGrace), StorageGrace),
        ];
        foreach (var (name, value) in times)
            if (value <= TimeSpan.Zero) yield return $"{name} is {value}; it must be positive";
        if (SiteLease <= HeartbeatInterval)
            yield return $"{nameof(SiteLease)} ({SiteLease}) must be longer than {nameof(HeartbeatInterval)} "
                + $"({HeartbeatInterval})";
    }
}
