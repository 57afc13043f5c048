using Flare.Transport;

namespace Flare.Testing;

/// <summary>A connection between a site and the server: a lane in each direction, which break together.</summary>
internal sealed class SimulatedConnection
{
    private readonly SimulatedTransport _transport;
    private readonly SimulatedLane _toServer;
    private readonly SimulatedLane _toSite;
    private int _left = 2;

    public SimulatedConnection(
        SimulatedTransport transport, string site, long number, SimulationLoop loop, SimulationRandom random)
    {
        (_transport, Site) = (transport, site);
        _toServer = new(this, $"{site}#{number} up", loop, random);
        _toSite = new(this, $"{site}#{number} down", loop, random);
        if (random.Chance(Faults.Cuts))
        {
            var bytes = (long)Math.Pow(Faults.MaxCutBytes, random.NextDouble());
            if (random.Chance(0.5)) _toServer.CutAfter = bytes;
            else _toSite.CutAfter = bytes;
        }
        IsSilent = random.Chance(Faults.Silence);
        var bounds = random.Chance(0.5);
        var name = site.Length > 0 ? site : null;
        AtSite = new(_toSite.Reader, _toServer.Writer, null, "the simulated server", bounds, HangUp);
        AtServer = new(_toServer.Reader, _toSite.Writer, name, $"simulated {site}", bounds, HangUp);
    }

    public string Site { get; }

    public bool IsSilent { get; }

    public FrameFaults Faults => _transport.Faults;

    public FlareConnection AtSite { get; }

    public FlareConnection AtServer { get; }

    public void Start(LinkDirections dark)
    {
        SetDark(dark);
        _ = _toServer.PumpAsync();
        _ = _toSite.PumpAsync();
    }

    public void SetDark(LinkDirections directions)
    {
        _toServer.SetDark((directions & LinkDirections.ToServer) != 0);
        _toSite.SetDark((directions & LinkDirections.ToSite) != 0);
    }

    public void Carried(long bytes) => _transport.Carried(bytes);

    /// <summary>A direction has carried its last byte.</summary>
    public void Cut(string direction)
    {
        _transport.OnCut(direction, IsSilent);
        if (IsSilent) SetDark(LinkDirections.Both);
        else Break();
    }

    public void Break()
    {
        _toServer.Break();
        _toSite.Break();
    }

    public void OnLaneEnded()
    {
        if (_toServer.HasEnded && _toSite.HasEnded) _transport.Remove(this);
    }

    // What nobody holds any more need not be carried.
    private ValueTask HangUp()
    {
        if (--_left == 0) Break();
        return default;
    }
}
