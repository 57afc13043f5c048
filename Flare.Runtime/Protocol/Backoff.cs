namespace Flare.Runtime;

/// <summary>
/// Paces the repetition of a message, in ticks of the retry interval. A small one is repeated at every tick. A large
/// one is repeated after 8, 16, 32 ticks and so on: it may well take longer than a tick to arrive, and copies of itself
/// would stand in its way.
/// </summary>
internal sealed class Backoff
{
    private const int Shortest = 8;
    private const int Longest = 64;

    private int _wait = Shortest;
    private int _left = Shortest;

    /// <summary>The message is sent for the first time, or again from the beginning.</summary>
    public void Restart() => _wait = _left = Shortest;

    /// <summary>A tick has passed: whether to repeat the message now.</summary>
    public bool Tick(bool isLarge)
    {
        if (!isLarge) return true;
        if (--_left > 0) return false;
        _left = _wait = Math.Min(_wait * 2, Longest);
        return true;
    }
}
