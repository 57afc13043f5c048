namespace Flare.Testing;

/// <summary>How bad a <see cref="SimulatedDisk"/> is, besides what a crash does to it.</summary>
public sealed record DiskFaults
{
    /// <summary>A disk without faults.</summary>
    public static DiskFaults None { get; } = new();

    /// <summary>The longest that a call takes; at least 1 ms. 20 ms unless set.</summary>
    public TimeSpan MaxLatency { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>How likely a call fails with <see cref="IOException"/>, its work done or not; from 0 to 1.</summary>
    public double Failure { get; init; }
}
