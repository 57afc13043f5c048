using System.Diagnostics.CodeAnalysis;
using Flare.Transport;

namespace Flare.Testing;

/// <summary>
/// Connections of bytes between sites and one server, on a <see cref="SimulationLoop"/>. What is written comes in
/// pieces of any length, sometimes byte by byte; a direction stands still, a connection is cut at any byte, and the
/// ends are told of it or not, as <see cref="Faults"/> says.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "Whoever listens disposes of what listens.")]
public sealed class SimulatedTransport : IFlareTransport
{
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;
    private readonly List<SimulatedConnection> _open = [];
    private readonly Dictionary<string, LinkDirections> _dark = new(StringComparer.Ordinal);
    private Listener? _listener;

    /// <summary>Creates a transport on which nobody listens.</summary>
    public SimulatedTransport(SimulationLoop loop)
    {
        ArgumentNullException.ThrowIfNull(loop);
        (_loop, _random) = (loop, loop.Random.Fork());
    }

    /// <summary>How bad connections are; may be changed at any time.</summary>
    public FrameFaults Faults { get; set; } = FrameFaults.None;

    /// <summary>Connections made so far.</summary>
    public long Connections { get; private set; }

    /// <summary>Of those, how many were cut.</summary>
    public long Cuts { get; private set; }

    /// <summary>Bytes carried so far, in both directions.</summary>
    public long Bytes { get; private set; }

    /// <summary>Connections that are there now.</summary>
    public int Open => _open.Count;

    /// <summary>Listens for sites; whoever listened before takes no more.</summary>
    public IFlareListener Listen()
    {
        _listener?.Close();
        return _listener = new Listener(this);
    }

    /// <summary>Connects a site that proves no name.</summary>
    public ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
        ConnectAsync("", cancellationToken);

    /// <summary>The way of a site, whose name connections then prove.</summary>
    public IFlareConnector From(string site)
    {
        ArgumentException.ThrowIfNullOrEmpty(site);
        return new Connector(this, site);
    }

    /// <summary>A server on the simulation, which listens here. Its plans are built with
    /// <see cref="SimulationBuilders.RunOn"/>.</summary>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public FederationServer StartServer(LinkLimits? limits = null) => FederationServer.Start(this, Host(limits));

    /// <summary>A site on the simulation, which connects here. Its plans are built with
    /// <see cref="SimulationBuilders.RunOn"/>.</summary>
    /// <param name="name">The site's name, which its connections prove.</param>
    /// <param name="incarnation">How often it has started; the virtual clock's milliseconds if left out.</param>
    /// <param name="limits">What is taken at most; the defaults if left out.</param>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public FederationSite ConnectSite(string name, long? incarnation = null, LinkLimits? limits = null) =>
        FederationSite.Connect(From(name), name, incarnation, Host(limits));

    /// <summary>Links on the simulation.</summary>
    internal LinkHost Host(LinkLimits? limits) => LinkHost.Of(limits, time: _loop.Time) with
    {
        Compute = _loop.Compute, NewProcess = _loop.NewProcess,
    };

    /// <summary>Nobody listens any more, and all connections break.</summary>
    public void BreakAll()
    {
        _listener?.Close();
        _listener = null;
        foreach (var connection in _open.ToArray()) connection.Break();
    }

    /// <summary>A site's connections break.</summary>
    public void Break(string site)
    {
        foreach (var connection in _open.Where(c => c.Site == site).ToArray()) connection.Break();
    }

    /// <summary>Nothing passes in a site's directions until it is healed, and nobody is told. Cuts add up.</summary>
    public void Cut(string site, LinkDirections directions)
    {
        SetDark(site, _dark.GetValueOrDefault(site) | directions);
        _loop.Trace("dark", site, (long)directions);
    }

    /// <summary>Ends a <see cref="Cut"/>: what has not timed out meanwhile goes on.</summary>
    public void Heal(string site)
    {
        SetDark(site, LinkDirections.None);
        _loop.Trace("light", site);
    }

    internal void Carried(long bytes) => Bytes += bytes;

    internal void OnCut(string lane, bool isSilent)
    {
        Cuts++;
        _loop.Trace(isSilent ? "cut in silence" : "cut", lane);
    }

    internal void Remove(SimulatedConnection connection) => _open.Remove(connection);

    private void SetDark(string site, LinkDirections directions)
    {
        _dark[site] = directions;
        foreach (var connection in _open)
            if (connection.Site == site) connection.SetDark(directions);
    }

    private async ValueTask<FlareConnection> ConnectAsync(string site, CancellationToken cancellationToken)
    {
        var least = TimeSpan.FromMilliseconds(1);
        await Task.Delay(
            _random.Between(least, Faults.MaxDelay > least ? Faults.MaxDelay : least), _loop.Time, cancellationToken);
        if (_listener is not { } listener || _dark.GetValueOrDefault(site) != LinkDirections.None)
        {
            throw new FrameException(
                ErrorIds.Connection, "The simulated server cannot be reached now.", isTransient: true);
        }
        var connection = new SimulatedConnection(this, site, ++Connections, _loop, _random.Fork());
        _open.Add(connection);
        _loop.Trace("connected", site, Connections);
        connection.Start(LinkDirections.None);
        listener.Add(connection.AtServer);
        return connection.AtSite;
    }

    private sealed class Connector(SimulatedTransport transport, string site) : IFlareConnector
    {
        public ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
            transport.ConnectAsync(site, cancellationToken);
    }

    private sealed class Listener(SimulatedTransport transport) : IFlareListener
    {
        private readonly Queue<FlareConnection> _come = new();
        private TaskCompletionSource? _waiting;
        private bool _isClosed;

        public string Address => "simulated";

        public void Add(FlareConnection connection)
        {
            _come.Enqueue(connection);
            _waiting?.TrySetResult();
        }

        public void Close()
        {
            _isClosed = true;
            _waiting?.TrySetResult();
        }

        public async ValueTask<FlareConnection?> AcceptAsync(CancellationToken cancellationToken)
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (_come.TryDequeue(out var connection)) return connection;
                if (_isClosed) return null;
                var waiting = _waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);
                using (cancellationToken.Register(() => waiting.TrySetCanceled(cancellationToken)))
                    await waiting.Task;
            }
        }

        public async ValueTask DisposeAsync()
        {
            Close();
            if (transport._listener == this) transport._listener = null;
            while (_come.TryDequeue(out var connection))
            {
                await connection.Output.CompleteAsync();
                await connection.Input.CompleteAsync();
                await connection.DisposeAsync();
            }
        }
    }
}
