using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>
/// Proves both ends of a connection to each other inside it, where TLS cannot: a proxy on the way opens it, and shows
/// its own certificate. Each end shows its certificate and a nonce, and signs both nonces with both names. The proxy
/// still reads and can change what passes: it must be trusted with that, but it cannot be one of the ends to the other.
/// </summary>
public static class ChannelProof
{
    private const int NonceBytes = 32;

    /// <summary>Proves both ends. Before anything else is said on the connection, at both ends at once.</summary>
    /// <param name="connection">The connection; disposed of where it fails.</param>
    /// <param name="identity">Who this end is; it stays the caller's.</param>
    /// <param name="time">The clock that certificates are looked at by; the system's if left out.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The connection with the name that the other end has proven.</returns>
    /// <exception cref="FrameException">The other end has proven nothing, or says why it refuses this one.</exception>
    public static ValueTask<FlareConnection> ProveAsync(
        FlareConnection connection, FlareIdentity identity, TimeProvider? time = null,
        CancellationToken cancellationToken = default) =>
        ProveAsync(connection, IdentitySource.Of(identity), time, cancellationToken: cancellationToken);

    /// <summary>Proves both ends. Before anything else is said on the connection, at both ends at once.</summary>
    /// <param name="connection">The connection; disposed of where it fails.</param>
    /// <param name="identity">Who this end is, now and later: the connection ends where this end learns that the other
    /// is refused.</param>
    /// <param name="time">The clock that certificates are looked at by; the system's if left out.</param>
    /// <param name="logging">Where to log of rosters; nowhere if left out.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The connection with the name that the other end has proven.</returns>
    /// <exception cref="FrameException">The other end has proven nothing, or says why it refuses this one.</exception>
    public static async ValueTask<FlareConnection> ProveAsync(
        FlareConnection connection, IdentitySource identity, TimeProvider? time = null, ILoggerFactory? logging = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(identity);
        Peer peer;
        try
        {
            peer = await ProveBothAsync(connection, identity, time ?? TimeProvider.System, cancellationToken);
        }
        catch (Exception e)
        {
            await connection.DisposeAsync();
            throw e switch
            {
                FrameException or OperationCanceledException => e,
                FlareException refused => Refuse(connection, Words.Of(refused), e),
                IOException => new FrameException(
                    ErrorIds.Connection,
                    $"{connection.PeerAddress} hung up while it was to prove who it is: {e.Message}",
                    isTransient: true, e),
                _ => e,
            };
        }
        var logger = (logging ?? NullLoggerFactory.Instance).CreateLogger("Flare.Transport");
        return await Introduction.IntroduceAsync(connection, peer, logger, cancellationToken);
    }

    private static async Task<Peer> ProveBothAsync(
        FlareConnection connection, IdentitySource source, TimeProvider time, CancellationToken cancellationToken)
    {
        var identity = source.Current;
        var nonce = RandomNumberGenerator.GetBytes(NonceBytes);
        FlareValue[] certificates =
            [identity.Certificate.RawData, .. identity.Intermediates.Select(c => (FlareValue)c.RawData)];
        await connection.SayAsync(
            new() { ["nonce"] = nonce, ["certificates"] = FlareValue.List(certificates) }, cancellationToken);
        var theirs = await connection.HearAsync(ProofWords.Limits, cancellationToken);
        using var chain = CertificatesOf(theirs);
        var proof = identity.Verify(chain.Peer, chain.Others, Peer.DueAt(identity), time.GetUtcNow());
        if ((proof.Proven ?? proof.Unlisted) is not { } peer)
            throw await RefuseAsync($"its certificate is refused: {proof.Refusal}");
        var theirNonce = theirs["nonce"].AsBytes();
        var signature = identity.SignChannel(peer, nonce, theirNonce.Span);
        await connection.SayAsync(new() { ["signature"] = signature }, cancellationToken);
        var answer = await connection.HearAsync(ProofWords.Limits, cancellationToken);
        if (answer.TryGet("refusal", out var refusal))
        {
            throw new FrameException(
                ErrorIds.Connection, $"{connection.PeerAddress} refuses {identity.Member}: "
                + Words.End(Words.Of(refusal.AsText(), 500)), isTransient: false);
        }
        if (!identity.VerifyChannel(chain.Peer!, nonce, theirNonce.Span, answer["signature"].AsBytes().Span))
        {
            throw await RefuseAsync(
                "it shows a certificate whose key it has not, or answers for another connection");
        }
        return new(source, chain.Others.Select(c => c.RawData), time);

        // It learns why: its operator is the one who can mend it.
        async Task<FrameException> RefuseAsync(string why)
        {
            await connection.SayLastAsync(new() { ["refusal"] = why }, cancellationToken);
            return Refuse(connection, why);
        }
    }

    private static Chain CertificatesOf(FlareMap map)
    {
        var shown = map["certificates"].AsList();
        if (shown.Count is < 1 or > 8)
            throw new FlareException(ErrorIds.MalformedMessage, "One to eight certificates are shown.");
        var chain = new Chain();
        try
        {
            foreach (var bytes in shown)
                chain.Others.Add(X509CertificateLoader.LoadCertificate(bytes.AsBytes().Span));
        }
        catch (CryptographicException e)
        {
            chain.Dispose();
            throw new FlareException(ErrorIds.MalformedMessage, "A certificate that was shown is none.", e);
        }
        return chain;
    }

    private static FrameException Refuse(FlareConnection connection, string why, Exception? inner = null) => new(
        ErrorIds.Connection, $"{connection.PeerAddress} has not proven who it is: {Words.End(why)}", isTransient: false,
        inner);

    private sealed class Chain : IDisposable
    {
        public X509Certificate2? Peer => Others.Count > 0 ? Others[0] : null;

        public X509Certificate2Collection Others { get; } = [];

        public void Dispose()
        {
            foreach (var certificate in Others) certificate.Dispose();
        }
    }
}
