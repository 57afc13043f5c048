namespace Flare.Transport;

/// <summary>What a frame is. The numbers are part of the wire contract (docs/wire.md).</summary>
internal enum FrameType : byte
{
    /// <summary>The first frame in each direction: versions and limits.</summary>
    Hello = 1,
    /// <summary>A small message, whole.</summary>
    Message = 2,
    /// <summary>A stream begins: its channel, length, offset, and what it is.</summary>
    Open = 3,
    /// <summary>The next bytes of a stream.</summary>
    Data = 4,
    /// <summary>The receiver of a stream takes so many more bytes.</summary>
    Credit = 5,
    /// <summary>A stream ends early, for its sender or its receiver.</summary>
    Reset = 6,
    /// <summary>Asks for a <see cref="Pong"/> that brings the same bytes.</summary>
    Ping = 7,
    /// <summary>Answers <see cref="Ping"/>.</summary>
    Pong = 8,
    /// <summary>The last frame in a direction: nothing more comes.</summary>
    Close = 9,
}
