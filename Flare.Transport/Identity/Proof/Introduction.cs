using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>
/// What both ends of a connection tell each other once each has shown its certificate, before the first frame: which
/// roster they have, so that who has the older gets the newer, and whom they refuse, and why. So a site that was added
/// later brings the roster that names it, and who is refused reads the reason.
/// </summary>
internal static class Introduction
{
    private static readonly FlareMapLimits RosterLimits = new()
    {
        MaxBytes = Roster.MaxBytes + 1024, MaxDepth = 2, MaxItems = 4,
    };

    /// <summary>Introduces both ends to each other.</summary>
    /// <param name="connection">The connection; disposed of where it fails.</param>
    /// <param name="peer">Who has shown a certificate at its other end.</param>
    /// <param name="logger">Told of rosters that are not taken.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="refusal">Why the peer is refused whatever it says; null where it is not.</param>
    /// <returns>The connection with the name that the other end has proven.</returns>
    /// <exception cref="FrameException">An end refuses the other.</exception>
    public static async ValueTask<FlareConnection> IntroduceAsync(
        FlareConnection connection, Peer peer, ILogger logger, CancellationToken cancellationToken,
        string? refusal = null)
    {
        try
        {
            if (refusal is not null) throw await RefuseAsync(connection, peer, refusal, cancellationToken);
            var name = await MeetAsync(connection, peer, logger, cancellationToken);
            return connection.Of(name, peer);
        }
        catch (Exception e)
        {
            await connection.DisposeAsync();
            throw e switch
            {
                FrameException => e,
                FlareException malformed => new FrameException(
                    ErrorIds.Connection, $"{connection.PeerAddress} does not introduce itself as Flare's ends do: "
                    + $"{Words.Of(malformed)}.", isTransient: false, e),
                IOException => new FrameException(
                    ErrorIds.Connection, $"{connection.PeerAddress} hung up when it had seen the certificate of "
                    + $"{peer.Source.Current.Member}: {e.Message}", isTransient: true, e),
                _ => e,
            };
        }
    }

    private static async Task<string> MeetAsync(
        FlareConnection connection, Peer peer, ILogger logger, CancellationToken cancellationToken)
    {
        var proof = peer.Look();
        if (proof is { Refusal: { } at1st, Unlisted: null })
            throw await RefuseAsync(connection, peer, at1st, cancellationToken);
        var own = peer.Source.Current.Roster;
        var waits = proof.Proven is null;
        await connection.SayAsync(
            new()
            {
                ["roster"] = own.Version, ["sha256"] = Convert.FromHexString(own.Fingerprint), ["waits"] = waits,
            },
            cancellationToken);
        var theirs = await HearAsync(connection, peer, ProofWords.Limits, cancellationToken);
        var version = theirs["roster"].AsInteger();
        if (version == own.Version && !waits && !theirs["waits"].AsBoolean())
        {
            if (!theirs["sha256"].AsBytes().Span.SequenceEqual(Convert.FromHexString(own.Fingerprint)))
                IdentityLog.RostersDiffer(logger, $"{proof.Proven}", version);
            return proof.Name!;
        }
        if (version < own.Version)
            await connection.SayAsync(new() { ["bytes"] = own.Write() }, cancellationToken, RosterLimits);
        var notTaken = version > own.Version
            ? await TakeAsync(connection, peer, proof, logger, cancellationToken) : null;
        proof = peer.Look();
        if (proof.Refusal is { } refusal)
        {
            // A roster that would have helped and was not taken is the better reason.
            var why = notTaken is null ? refusal : $"{refusal}; the roster that it brought is not taken: {notTaken}";
            throw await RefuseAsync(connection, peer, why, cancellationToken);
        }
        await connection.SayAsync(
            notTaken is null ? new() { ["proven"] = true } : new() { ["proven"] = true, ["notTaken"] = notTaken },
            cancellationToken);
        var last = await HearAsync(connection, peer, ProofWords.Limits, cancellationToken);
        if (last.TryGet("notTaken", out var reason))
            IdentityLog.RosterNotWanted(logger, $"{proof.Proven}", own.Version, Words.Of(reason.AsText(), 500));
        return proof.Name!;
    }

    /// <returns>Why it was not taken; null where it was.</returns>
    private static async Task<string?> TakeAsync(
        FlareConnection connection, Peer peer, PeerProof proof, ILogger logger, CancellationToken cancellationToken)
    {
        var who = $"{(object?)proof.Proven ?? proof.Unlisted}";
        var brought = await HearAsync(connection, peer, RosterLimits, cancellationToken);
        try
        {
            if (peer.Source.TakeRoster(brought["bytes"].AsBytes().Span))
                IdentityLog.RosterBrought(logger, who, peer.Source.Current.Roster.Version);
            return null;
        }
        catch (FlareException e)
        {
            var why = Words.Of(e);
            IdentityLog.RosterRefused(logger, who, why);
            return why;
        }
    }

    private static async Task<FlareMap> HearAsync(
        FlareConnection connection, Peer peer, FlareMapLimits limits, CancellationToken cancellationToken)
    {
        var map = await connection.HearAsync(limits, cancellationToken);
        if (!map.TryGet("refusal", out var refusal)) return map;
        throw new FrameException(
            ErrorIds.Connection, $"{connection.PeerAddress} refuses the certificate of {peer.Source.Current.Member}: "
            + Words.End(Words.Of(refusal.AsText(), 500)), isTransient: false);
    }

    private static async Task<FrameException> RefuseAsync(
        FlareConnection connection, Peer peer, string why, CancellationToken cancellationToken)
    {
        await connection.SayLastAsync(new() { ["refusal"] = why }, cancellationToken);
        var due = Peer.DueAt(peer.Source.Current).Word();
        return new(
            ErrorIds.Connection,
            $"The certificate of the {due} at {connection.PeerAddress} is refused: {Words.End(why)}",
            isTransient: false);
    }
}
