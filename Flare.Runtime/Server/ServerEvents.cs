namespace Flare.Runtime;

/// <summary>The federated events of the server: to all sites, and from each of them.</summary>
internal sealed class ServerEvents(JobLife life, SiteRegistry sites)
{
    public void Send(string type, Shareable data)
    {
        foreach (var session in sites.All)
        {
            if (!session.Events.HasRoom)
            {
                Log.EventDropped(
                    life.Logger.With(session.Name), session.Name, type, life.Limits.MaxPendingEvents);
                continue;
            }
            var e = session.Events.Add(type, data);
            if (session.Connected) Say(session, e);
        }
    }

    public void Receive(SiteSession session, SiteEvent e)
    {
        // Numbers of an earlier epoch mean other events. A reliable link has only one, and may deliver before the site
        // has heard of it.
        if (e.Epoch != life.Epoch && !life.IsReliable) return;
        if (session.Events.TrySee(e.Event)) Announce(session, e.Event);
        life.Say(session.Name, new ServerEventReceipt(life.Epoch, session.Incarnation, session.Events.Seen));
    }

    /// <summary>Says again what a site has not confirmed.</summary>
    public void Repeat(SiteSession session)
    {
        foreach (var e in session.Events.Pending) Say(session, e);
    }

    private void Announce(SiteSession session, FederatedEvent e)
    {
        // After an abort nobody waits for handlers any more: ten thousand events in the queue must not hold it up.
        if (life.Abort.IsCancellationRequested) return;
        life.Engine.AnnounceFederated(e.EventType, e.Data, e.Sequence, session.Name);
        if (e.EventType == EventTypes.FatalSystemError)
            life.Stop(session.Name, e.Data.Error?.Message ?? "no reason given");
    }

    private void Say(SiteSession session, FederatedEvent e) =>
        life.Say(session.Name, new ServerEvent(life.Epoch, session.Incarnation, e));
}
