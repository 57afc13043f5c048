using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>
/// Whoever has shown a certificate at the other end of a connection, and that it has its key: looked at when the
/// connection begins, and again whenever this end learns something newer.
/// </summary>
internal sealed class Peer
{
    private readonly byte[][] _certificates; // its own first
    private readonly FlareRole _due;
    private readonly TimeProvider _time;
    private volatile Roster? _seen;

    public Peer(IdentitySource source, IEnumerable<byte[]> certificates, TimeProvider time)
    {
        (Source, _certificates, _time) = (source, [.. certificates], time);
        _due = DueAt(source.Current);
    }

    /// <summary>Who this end is.</summary>
    public IdentitySource Source { get; }

    /// <summary>What the other end of an end must be.</summary>
    public static FlareRole DueAt(FlareIdentity identity) =>
        identity.Role == FlareRole.Server ? FlareRole.Site : FlareRole.Server;

    /// <summary>Who it is, as far as this end knows now.</summary>
    public PeerProof Look()
    {
        var identity = Source.Current;
        _seen = identity.Roster;
        using var all = new CertificateList(_certificates.Select(c => (ReadOnlyMemory<byte>)c));
        return identity.Verify(all.Collection[0], all.Collection, _due, _time.GetUtcNow());
    }

    /// <summary>Has it looked at again whenever this end learns something newer.</summary>
    /// <param name="refuse">Told why it is refused by now; on any thread.</param>
    /// <returns>Ends it.</returns>
    public IDisposable Watch(Action<string> refuse)
    {
        var watch = new Watching(this, refuse);
        if (_seen != Source.Current.Roster) watch.Look(Source.Current); // learned since it was let in
        return watch;
    }

    private sealed class Watching : IDisposable
    {
        private readonly Peer _peer;
        private readonly Action<string> _refuse;

        public Watching(Peer peer, Action<string> refuse)
        {
            (_peer, _refuse) = (peer, refuse);
            peer.Source.Changed += Look;
        }

        public void Look(FlareIdentity _)
        {
            if (_peer.Look().Refusal is { } refusal) _refuse(refusal);
        }

        public void Dispose() => _peer.Source.Changed -= Look;
    }
}
