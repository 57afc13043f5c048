using Flare.Runtime;

namespace Flare.Transport;

/// <summary>A site's part in a job, over one connection.</summary>
internal sealed class ServerChannel : LinkChannel.Owner
{
    public ServerChannel(
        ServerSession session, ServerJobLink job, string site, Guid process, long incarnation, uint channel)
    {
        (Session, Job, Site, Process, Incarnation) = (session, job, site, process, incarnation);
        Channel = new(session.Connection, channel, job.Job, site, this, job.Partials, session.Streams,
            session.Host);
    }

    public ServerSession Session { get; }
    public ServerJobLink Job { get; }
    public string Site { get; }
    public Guid Process { get; }
    public long Incarnation { get; }
    public LinkChannel Channel { get; }

    public override bool HearsServer => false;

    public override string? RefusalOf(FrameHead head) => Job.RefusalOf(Site, head);

    public override void Deliver(LinkChannel from, LinkMessage message) => Job.Deliver(this, message);
}
