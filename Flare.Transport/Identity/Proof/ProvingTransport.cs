using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// A transport whose ends prove their names inside the connection (<see cref="ChannelProof"/>), for ways on which TLS
/// ends at a proxy.
/// </summary>
public static class ProvingTransport
{
    /// <summary>Has a site's way prove both ends.</summary>
    /// <param name="connector">The way.</param>
    /// <param name="identity">Who the site is; it stays the caller's.</param>
    /// <param name="time">The clock that certificates are looked at by; the system's if left out.</param>
    public static IFlareConnector WithProof(
        this IFlareConnector connector, FlareIdentity identity, TimeProvider? time = null) =>
        connector.WithProof(IdentitySource.Of(identity), time);

    /// <summary>Has a site's way prove both ends.</summary>
    /// <param name="connector">The way.</param>
    /// <param name="identity">Who the site is, now and later; it stays the caller's.</param>
    /// <param name="time">The clock that certificates are looked at by; the system's if left out.</param>
    /// <param name="logging">Where to log of rosters; nowhere if left out.</param>
    public static IFlareConnector WithProof(
        this IFlareConnector connector, IdentitySource identity, TimeProvider? time = null,
        ILoggerFactory? logging = null)
    {
        ArgumentNullException.ThrowIfNull(connector);
        ArgumentNullException.ThrowIfNull(identity);
        return new Connector(connector, identity, time ?? TimeProvider.System, logging);
    }

    private sealed class Connector(
        IFlareConnector inner, IdentitySource identity, TimeProvider time, ILoggerFactory? logging) : IFlareConnector
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

        public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
        {
            var connection = await inner.ConnectAsync(cancellationToken);
            using var timeout = new CancellationTokenSource(Patience, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
            try
            {
                return await ChannelProof.ProveAsync(connection, identity, time, logging, either.Token);
            }
            catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
            {
                throw new FrameException(
                    ErrorIds.Connection, Invariant(
                        $"{connection.PeerAddress} has not proven who it is within {Patience.TotalSeconds} s."),
                    isTransient: true, e);
            }
        }
    }
}
