using System.Buffers;

namespace Flare.Transport;

/// <summary>
/// What the two ends of a connection say about jobs, on channel 0: maps in MessagePack (docs/wire.md). Jobs have the
/// channels that their sites choose for them.
/// </summary>
internal static class Control
{
    public const uint Channel = 0;
    public const string Attach = "attach", Attached = "attached", Refused = "refused", Detach = "detach",
        Partial = "partial", Told = "told";

    // From whom and about what is known only once it is read: kept short.
    private static readonly FlareMapLimits Limits = new()
    {
        MaxBytes = 16 * 1024, MaxDepth = 4, MaxItems = 64, MaxNames = 32,
    };

    /// <summary>A site takes part in a job over a channel.</summary>
    public static byte[] SayAttach(uint channel, string site, string job, Guid process, long incarnation) =>
        Write(new()
        {
            ["say"] = Attach, ["channel"] = (long)channel, ["site"] = site, ["job"] = job,
            ["process"] = process.ToByteArray(), ["incarnation"] = incarnation,
        });

    /// <summary>The server agrees.</summary>
    public static byte[] SayAttached(uint channel) => Write(new() { ["say"] = Attached, ["channel"] = (long)channel });

    /// <summary>The server does not agree.</summary>
    /// <param name="channel">The channel that was asked for.</param>
    /// <param name="reason">Why, and what to do.</param>
    /// <param name="comeBack">Whether to ask again later may help.</param>
    public static byte[] SayRefused(uint channel, string reason, bool comeBack) => Write(new()
    {
        ["say"] = Refused, ["channel"] = (long)channel, ["reason"] = reason, ["comeBack"] = comeBack,
    });

    /// <summary>A site has no more use for a channel.</summary>
    public static byte[] SayDetach(uint channel) => Write(new() { ["say"] = Detach, ["channel"] = (long)channel });

    /// <summary>The beginning of a large message is here already, from before the connection broke.</summary>
    public static byte[] SayPartial(uint channel, Start start) => Write(new()
    {
        ["say"] = Partial, ["channel"] = (long)channel, ["kind"] = (long)start.Kind, ["length"] = start.Length,
        ["received"] = start.Received, ["sha256"] = start.Sha256,
    });

    /// <summary>All beginnings of the channel have been told of: what is large may begin.</summary>
    public static byte[] SayTold(uint channel) => Write(new() { ["say"] = Told, ["channel"] = (long)channel });

    /// <exception cref="FlareException">It is malformed.</exception>
    public static FlareMap Read(in ReadOnlySequence<byte> bytes) => FlareMapCodec.Read(bytes, limits: Limits);

    /// <exception cref="FlareException">There is none.</exception>
    public static uint ChannelOf(FlareMap map) => map["channel"].AsInteger() is > 0 and <= uint.MaxValue and var channel
        ? (uint)channel
        : throw new FlareException(ErrorIds.MalformedMessage, "A job's channel is a number from 1 on.");

    /// <exception cref="FlareException">It is malformed.</exception>
    public static Start StartOf(FlareMap map)
    {
        var start = new Start(
            (Runtime.FrameKind)map["kind"].AsInteger(), map["length"].AsInteger(), map["received"].AsInteger(),
            map["sha256"].AsBytes().ToArray());
        if (start.Received < 0 || start.Received > start.Length || start.Sha256.Length != 32)
            throw new FlareException(
                ErrorIds.MalformedMessage, "The beginning of a message is longer than the message.");
        return start;
    }

    private static byte[] Write(FlareMap map)
    {
        var output = new ArrayBufferWriter<byte>(128);
        FlareMapCodec.Write(map, output, limits: Limits);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>The beginning of a large message, as far as it came.</summary>
    public sealed record Start(Runtime.FrameKind Kind, long Length, long Received, byte[] Sha256);
}
