namespace Flare;

/// <summary>
/// What an encoded <see cref="FlareMap"/> may be at most. Both directions hold them, so that what one side writes the
/// other can read: writing above a limit fails at the sender, with the limit's name; reading checks each before it
/// allocates.
/// </summary>
public sealed record FlareMapLimits
{
    /// <summary>The limits that hold where none are given.</summary>
    public static FlareMapLimits Default { get; } = new();

    /// <summary>Bytes of the whole encoding, tensors apart. Default 16 MiB.</summary>
    public int MaxBytes { get; init; } = 16 << 20;

    /// <summary>
    /// Maps and lists within each other, the outermost included; 1 to 128 (reading recurses). Default 32.
    /// </summary>
    public int MaxDepth
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 128);
            field = value;
        }
    } = 32;

    /// <summary>Values in all maps and lists together. Default 262,144.</summary>
    public int MaxItems { get; init; } = 1 << 18;

    /// <summary>Names in one map. Default 1,024.</summary>
    public int MaxNames { get; init; } = 1024;

    /// <summary>Bytes of one text or name in UTF-8. Default 1 MiB.</summary>
    public int MaxTextBytes { get; init; } = 1 << 20;
}
