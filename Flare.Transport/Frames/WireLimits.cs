namespace Flare.Transport;

/// <summary>What an end may state in its hello, as docs/wire.md has it: from the least to the most.</summary>
internal static class WireLimits
{
    public static readonly (int Least, int Most) MessageBytes = (1024, 1 << 20);
    public static readonly (int Least, int Most) StreamHeadBytes = (64, 1 << 20);
    public static readonly (int Least, int Most) Streams = (1, 1 << 20);
    public static readonly (int Least, int Most) StreamWindow = (1 << 16, 1 << 30);

    /// <summary>300 ms to a day.</summary>
    public static readonly (int Least, int Most) IdleMilliseconds = (300, 24 * 60 * 60 * 1000);
}
