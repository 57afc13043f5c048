namespace Flare.Runtime;

/// <summary>The federated events of the server: to all sites, and from each of them.</summary>
internal sealed class ServerEvents(JobLife life, SiteRegistry sites)
{
    private readonly EventDrops _drops = new(life.Limits.MaxPendingEvents);

    /// <summary>An event finds no room before it is known whom it is for.</summary>
    public void Drop(string type) => _drops.Note(life.Logger, "all sites", type);

    public void Send(string type, Shareable data)
    {
        if (!life.Options.Link.SharesMemory)
        {
            try
            {
                new LinkMessage(0, 0, new ServerEvent(new FederatedEvent(1, type, data))).Encode();
            }
            catch (FlareException e)
            {
                Log.EventUnsendable(life.Logger, type, e.Message);
                return;
            }
        }
        foreach (var session in sites.All)
        {
            if (!session.Events.HasRoom)
            {
                session.Drops.Note(life.Logger.With(session.Name), session.Name, type);
                continue;
            }
            if (session.Events.Add(type, data) is { } e && session.Connected) Say(session, e);
        }
    }

    public void Receive(SiteSession session, int epoch, FederatedEvent e)
    {
        // Numbers of an earlier epoch mean other events. Where nothing is lost there is only one, and the site may not
        // have heard of it yet.
        if (epoch != life.Epoch && !life.LosesNothing) return;
        if (session.Events.TrySee(e)) Announce(session, e);
        life.Say(session, new ServerEventReceipt(session.Events.Seen));
    }

    public void Confirm(SiteSession session, int epoch, long sequence)
    {
        if (epoch != life.Epoch) return;
        foreach (var e in session.Events.Confirm(sequence)) Say(session, e);
    }

    /// <summary>Says again what a site has not confirmed.</summary>
    public void Repeat(SiteSession session)
    {
        foreach (var e in session.Events.Again()) Say(session, e);
    }

    private void Announce(SiteSession session, FederatedEvent e)
    {
        // After an abort nobody waits for handlers any more: ten thousand events in the queue must not hold it up.
        if (life.IsToldToEnd) return;
        if (e.EventType != EventTypes.SitePanic)
        {
            life.Events.AnnounceFederated(
                e.EventType, new FLContext(life.Side, session.Name), e.Data, e.Sequence);
            return;
        }
        var context = new FLContext(life.Side, session.Name);
        context.Set(ContextKeys.EventData, e.Data);
        context.Set(ContextKeys.EventOrigin, session.Name);
        context.Set(ContextKeys.EventSequence, e.Sequence);
        life.Events.Announce(EventTypes.FatalSystemError, context);
        life.Stop(session.Name, e.Data.Error?.Message ?? "no reason given");
    }

    private void Say(SiteSession session, FederatedEvent e) =>
        life.Say(session, new ServerEvent(e));
}
