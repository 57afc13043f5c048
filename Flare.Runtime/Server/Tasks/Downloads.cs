using System.Runtime.CompilerServices;

namespace Flare.Runtime;

/// <summary>Large tensors of one assignment, to be fetched by its site.</summary>
internal sealed class Download(Assignment assignment, TensorsRef reference, StateDict tensors)
{
    public Assignment Assignment => assignment;
    public TensorsRef Reference => reference;
    public StateDict Tensors => tensors;
}

/// <summary>
/// Models on their way to sites: a task's offer names them, a site asks for those that it does not have, and no more
/// than so many are on their way at once.
/// </summary>
internal sealed class Downloads(JobLife life)
{
    // One hash a model, whoever asks, for as long as the model lives.
    private readonly ConditionalWeakTable<StateDict, Task<string>> _hashes = [];

    private readonly FairGate<TaskRun, Download> _gate = new(
        life.Limits.MaxConcurrentDownloads, life.Limits.DownloadBudgetBytes, d => d.Reference.Bytes,
        d => life.Say(d.Assignment.Session, new TensorsDelivery(d.Assignment.Token, d.Reference.Sha256, d.Tensors)),
        d => d.Assignment.Run, _ => false);

    /// <summary>Whether a message holds something to fetch: nothing is where link and sites share memory.</summary>
    public bool AreIn(Shareable message) =>
        !life.Options.Link.SharesMemory && message.Freeze().TensorBytes() > life.Limits.SmallResultBytes;

    /// <summary>What a message leaves to be fetched, and the message without it.</summary>
    public async Task<(Shareable Message, IReadOnlyList<Download> Contents)> TakeOutAsync(
        Shareable message, Assignment assignment)
    {
        var contents = new List<Download>();
        var body = message.Body;
        foreach (var (path, tensors) in TensorsRef.LargeIn(message.Body, life.Limits.SmallResultBytes))
        {
            var sha256 = await _hashes.GetValue(tensors, t => life.Options.Compute.RunAsync(t.Sha256));
            var reference = new TensorsRef(path, sha256, tensors.Layout.ByteLength);
            contents.Add(new Download(assignment, reference, tensors));
            body = reference.Put(body, false);
        }
        return (message.WithBody(body).Freeze(), contents);
    }

    /// <summary>A site asks for tensors of its task; asking again is answered again.</summary>
    public void OnWanted(Assignment assignment, string sha256)
    {
        foreach (var content in assignment.Contents)
        {
            if (content.Reference.Sha256 != sha256) continue;
            _gate.Request(content);
            return; // held at two places it is sent once
        }
    }

    /// <summary>They have arrived.</summary>
    public void OnReceived(Assignment assignment, string sha256)
    {
        foreach (var content in assignment.Contents)
            if (content.Reference.Sha256 == sha256) _gate.Release(content);
    }

    /// <summary>Whether some of an assignment's are on their way, as far as is known here.</summary>
    public bool AreOnTheirWay(Assignment assignment) => assignment.Contents.Any(_gate.Holds);

    /// <summary>The site needs none of them any more, or has lost what it had.</summary>
    public void Release(Assignment assignment)
    {
        foreach (var content in assignment.Contents) _gate.Release(content);
    }
}
