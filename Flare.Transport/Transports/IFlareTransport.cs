using System.IO.Pipelines;

namespace Flare.Transport;

/// <summary>
/// A site's way to its server. Each further one is a few lines: whatever gives a duplex pipe and says who is at its
/// other end.
/// </summary>
public interface IFlareConnector
{
    /// <summary>Connects to a server.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="FrameException">It cannot be reached, or is not who it should be; says whether to try again
    /// helps.</exception>
    ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken);
}

/// <summary>A way between sites and their server that has both ends.</summary>
public interface IFlareTransport : IFlareConnector
{
    /// <summary>Listens for sites.</summary>
    /// <exception cref="FrameException">The address cannot be listened on.</exception>
    IFlareListener Listen();
}

/// <summary>Where sites connect to.</summary>
public interface IFlareListener : IAsyncDisposable
{
    /// <summary>Where it listens, such as <c>tcp://0.0.0.0:8002</c>; with the port that the system chose.</summary>
    string Address { get; }

    /// <summary>
    /// Takes the next connection that has proven who it is; what does not is dropped, logged and not waited for.
    /// </summary>
    /// <returns>Null once the listener is disposed of.</returns>
    ValueTask<FlareConnection?> AcceptAsync(CancellationToken cancellationToken);
}

/// <summary>A duplex pipe and who is at its other end.</summary>
public sealed class FlareConnection : IDuplexPipe, IAsyncDisposable
{
    private Func<ValueTask>? _dispose;

    /// <summary>Creates a connection.</summary>
    /// <param name="input">What arrives.</param>
    /// <param name="output">What leaves.</param>
    /// <param name="peerName">The name that the other end has proven; null where the transport proves none.</param>
    /// <param name="peerAddress">Where the other end is, for logs.</param>
    /// <param name="boundsUnsent">Whether the system holds only little that is written and not sent yet, so that a
    /// small message soon passes a stream; where not, the sender paces itself.</param>
    /// <param name="dispose">Closes what is beneath; called once.</param>
    public FlareConnection(
        PipeReader input, PipeWriter output, string? peerName, string peerAddress, bool boundsUnsent,
        Func<ValueTask> dispose)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(peerAddress);
        ArgumentNullException.ThrowIfNull(dispose);
        (Input, Output, PeerName, PeerAddress, BoundsUnsent, _dispose) =
            (input, output, peerName, peerAddress, boundsUnsent, dispose);
    }

    /// <inheritdoc/>
    public PipeReader Input { get; }

    /// <inheritdoc/>
    public PipeWriter Output { get; }

    /// <summary>The name that the other end has proven; null where the transport proves none.</summary>
    public string? PeerName { get; }

    /// <summary>Where the other end is, for logs.</summary>
    public string PeerAddress { get; }

    /// <summary>Whether the system holds only little that is written and not sent yet.</summary>
    public bool BoundsUnsent { get; }

    /// <summary>Who has proven the name; null where the transport proves none, or looks at it itself.</summary>
    internal Peer? Peer { get; private init; }

    /// <summary>The connection once its other end has proven its name.</summary>
    internal FlareConnection Of(string peerName, Peer peer) =>
        new(Input, Output, peerName, PeerAddress, BoundsUnsent, DisposeAsync) { Peer = peer };

    /// <summary>Closes the connection at once; once, however often it is called.</summary>
    public ValueTask DisposeAsync() => Interlocked.Exchange(ref _dispose, null)?.Invoke() ?? default;
}
