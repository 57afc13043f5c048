namespace Flare.Testing;

/// <summary>
/// Does to a federation what its <see cref="FaultProfile"/> says, and mends everything when its time is over.
/// </summary>
internal sealed class Nemesis
{
    private readonly SimulatedFederation _federation;
    private readonly FaultProfile _faults;
    private readonly TimeSpan _until;
    private readonly SimulationLoop _loop;
    private readonly SimulationRandom _random;
    private readonly IRigNetwork _network;
    private readonly SimulatedDisk _disk;
    private bool _isOver;

    public Nemesis(
        SimulatedFederation federation, FaultProfile faults, TimeSpan until, SimulationLoop loop,
        IRigNetwork network, SimulatedDisk disk)
    {
        (_federation, _faults, _until, _loop, _network, _disk) = (federation, faults, until, loop, network, disk);
        _random = loop.Random.Fork();
    }

    public int ServerCrashes { get; private set; }
    public int SiteCrashes { get; private set; }
    public int Partitions { get; private set; }

    public void Start()
    {
        Every(_faults.ServerCrashes, CrashServer);
        Every(_faults.SiteCrashes, CrashSite);
        Every(_faults.Partitions, Partition);
        Every(_faults.Aborts, _federation.AbortJob);
        _disk.Writing = time =>
        {
            if (!_isOver && _random.Chance(_faults.CrashDuringWrite))
                _loop.After(_random.Between(TimeSpan.Zero, time), CrashServer);
        };
        foreach (var site in _federation.Sites)
        {
            if (site.Disk is not { } disk) continue;
            disk.Faults = _faults.Disk;
            disk.Writing = time =>
            {
                if (!_isOver && _random.Chance(_faults.CrashDuringWrite))
                    _loop.After(_random.Between(TimeSpan.Zero, time), () => Crash(site));
            };
        }
        _loop.After(_until, Stop);
    }

    /// <summary>Everything heals; processes that are down come back as they were going to.</summary>
    public void Stop()
    {
        if (_isOver) return;
        _isOver = true;
        _loop.Trace("everything heals");
        _network.EndFaults();
        _disk.Faults = DiskFaults.None;
        foreach (var site in _federation.Sites)
            if (site.Disk is { } disk) disk.Faults = DiskFaults.None;
        foreach (var site in _federation.Sites) _network.Heal(site.Name);
    }

    private void Every(TimeSpan? mean, Action attack)
    {
        if (mean is not { } time) return;
        _loop.After(_random.Between(TimeSpan.Zero, 2 * time), () =>
        {
            if (_isOver) return;
            attack();
            Every(mean, attack);
        });
    }

    private void CrashServer()
    {
        if (_isOver || !_federation.ServerIsUp) return;
        ServerCrashes++;
        _federation.CrashServer();
        _loop.After(_random.Between(TimeSpan.Zero, _faults.MaxDowntime), _federation.StartServer);
    }

    private void CrashSite() => Crash(AnySite());

    private void Crash(SimulatedSite site)
    {
        if (_isOver || !site.IsUp) return;
        SiteCrashes++;
        site.Crash();
        _loop.After(_random.Between(TimeSpan.Zero, _faults.MaxDowntime), site.Start);
    }

    private void Partition()
    {
        var site = AnySite();
        Partitions++;
        _network.Cut(site.Name, (LinkDirections)(1 + _random.NextInt32(3)));
        _loop.After(_random.Between(TimeSpan.Zero, _faults.MaxPartition), () => _network.Heal(site.Name));
    }

    private SimulatedSite AnySite() => _federation.Sites[_random.NextInt32(_federation.Sites.Count)];
}
