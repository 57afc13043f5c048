using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Flare.Transport;

/// <summary>
/// Proves both ends of a connection to each other inside it, where TLS cannot: a proxy on the way opens it, and shows
/// its own certificate. Each end shows its certificate and a nonce, and signs both nonces with both names. The proxy
/// still reads and can change what passes: it must be trusted with that, but it cannot be one of the ends to the other.
/// </summary>
public static class ChannelProof
{
    // Four certificates and some words; nobody is known yet.
    private const int MostBytes = 32 * 1024;
    private const int NonceBytes = 32;
    private static readonly FlareMapLimits Limits = new() { MaxBytes = MostBytes, MaxDepth = 3, MaxItems = 32 };

    /// <summary>Proves both ends. Before anything else is said on the connection, at both ends at once.</summary>
    /// <param name="connection">The connection; disposed of where it fails.</param>
    /// <param name="identity">Who this end is; it stays the caller's.</param>
    /// <param name="time">The clock that certificates are looked at by; the system's if left out.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The connection with the name that the other end has proven.</returns>
    /// <exception cref="FrameException">The other end has proven nothing, or says why it refuses this one.</exception>
    public static async ValueTask<FlareConnection> ProveAsync(
        FlareConnection connection, FlareIdentity identity, TimeProvider? time = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(identity);
        try
        {
            var name = await ProveBothAsync(
                connection, identity, (time ?? TimeProvider.System).GetUtcNow(), cancellationToken);
            return new(
                connection.Input, connection.Output, name, connection.PeerAddress, connection.BoundsUnsent,
                connection.DisposeAsync);
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
    }

    private static async Task<string> ProveBothAsync(
        FlareConnection connection, FlareIdentity identity, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var nonce = RandomNumberGenerator.GetBytes(NonceBytes);
        FlareValue[] certificates =
            [identity.Certificate.RawData, .. identity.Intermediates.Select(c => (FlareValue)c.RawData)];
        await SayAsync(
            connection, new() { ["nonce"] = nonce, ["certificates"] = FlareValue.List(certificates) },
            cancellationToken);
        var theirs = await HearAsync(connection, cancellationToken);
        using var chain = CertificatesOf(theirs);
        var due = identity.Role == FlareRole.Server ? FlareRole.Site : FlareRole.Server;
        var proof = identity.Verify(chain.Peer, chain.Others, due, now);
        if (proof.Proven is not { } peer)
        {
            // It learns why, as over TLS it would not: its operator is the one who can mend it.
            await SayAsync(
                connection, new() { ["refusal"] = $"its certificate is refused: {proof.Refusal}" }, cancellationToken);
            throw Refuse(connection, $"its certificate is refused: {proof.Refusal}");
        }
        var theirNonce = theirs["nonce"].AsBytes();
        var signature = identity.SignChannel(peer, nonce, theirNonce.Span);
        await SayAsync(connection, new() { ["signature"] = signature }, cancellationToken);
        var answer = await HearAsync(connection, cancellationToken);
        if (answer.TryGet("refusal", out var refusal))
        {
            throw new FrameException(
                ErrorIds.Connection, $"{connection.PeerAddress} refuses this end: {Words.Of(refusal.AsText(), 500)}.",
                isTransient: false);
        }
        if (!identity.VerifyChannel(chain.Peer!, nonce, theirNonce.Span, answer["signature"].AsBytes().Span))
            throw Refuse(connection, "it shows a certificate whose key it has not, or answers for another connection");
        return peer.Name;
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
        ErrorIds.Connection, $"{connection.PeerAddress} has not proven who it is: {why}.", isTransient: false, inner);

    private static async Task SayAsync(FlareConnection connection, FlareMap map, CancellationToken cancellationToken) =>
        await connection.Output.WriteAsync(Write(map), cancellationToken);

    private static byte[] Write(FlareMap map)
    {
        var bytes = new ArrayBufferWriter<byte>(1024);
        bytes.Write(stackalloc byte[4]); // the length, once it is known
        FlareMapCodec.Write(map, bytes, limits: Limits);
        var all = bytes.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(all, all.Length - 4);
        return all;
    }

    private static async Task<FlareMap> HearAsync(FlareConnection connection, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = await connection.Input.ReadAsync(cancellationToken);
            var buffer = read.Buffer;
            if (buffer.Length >= 4)
            {
                var length = ReadLength(buffer);
                if (length is < 1 or > MostBytes)
                    throw new FlareException(
                        ErrorIds.MalformedMessage, "It does not prove its name as Flare's ends do.");
                if (buffer.Length >= 4 + length)
                {
                    var map = FlareMapCodec.Read(buffer.Slice(4, length), limits: Limits);
                    connection.Input.AdvanceTo(buffer.GetPosition(4 + length));
                    return map;
                }
            }
            connection.Input.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted) throw new EndOfStreamException("it said nothing, or too little.");
        }
    }

    private static int ReadLength(in ReadOnlySequence<byte> buffer)
    {
        Span<byte> bytes = stackalloc byte[4];
        buffer.Slice(0, 4).CopyTo(bytes);
        return BinaryPrimitives.ReadInt32LittleEndian(bytes);
    }

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
