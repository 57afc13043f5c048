namespace Flare.Crypto;

/// <summary>How the body of a SEAL file is packed; the values are those of its headers.</summary>
public enum SealCompression : byte
{
    /// <summary>Not at all.</summary>
    None = 0,

    /// <summary>One zlib stream: about 6 % less for ciphertexts, which are close to random, and much slower.</summary>
    Zlib = 1,

    /// <summary>One Zstandard frame: what SEAL, and so TenSEAL, does unless told otherwise.</summary>
    Zstandard = 2,
}

/// <summary>
/// The version in a SEAL file's header. SEAL 4.4 reads 3.4 and up; 4.0 to 4.3 read only their own minor version and
/// 3.x; so a file stamped 3.6 is what every release from 3.6 on reads.
/// </summary>
/// <param name="Major">3 or 4.</param>
/// <param name="Minor">6 or 7 for 3, 0 to 4 for 4.</param>
public readonly record struct SealVersion(byte Major, byte Minor)
{
    /// <summary>What every SEAL from 3.6 to 4.4 reads.</summary>
    public static SealVersion V36 { get; } = new(3, 6);

    /// <summary>SEAL 4.1, which reads 4.1 and 3.4 to 3.7.</summary>
    public static SealVersion V41 { get; } = new(4, 1);

    /// <summary>SEAL 4.4.</summary>
    public static SealVersion V44 { get; } = new(4, 4);

    /// <summary>Whether files of this version are read and written here.</summary>
    public bool IsSupported => this is { Major: 4, Minor: <= 4 } or { Major: 3, Minor: 6 or 7 };

    // Before 4.0 a ciphertext had none.
    internal bool HasCorrectionFactor => Major >= 4;

    /// <summary>Major and minor.</summary>
    public override string ToString() => $"{Major}.{Minor}";
}

/// <summary>How SEAL files are written.</summary>
public sealed record SealFormat
{
    /// <summary>Stamped 3.6, not compressed.</summary>
    public static SealFormat Default { get; } = new();

    /// <summary>The version to stamp; default 3.6.</summary>
    public SealVersion Version { get; init; } = SealVersion.V36;

    /// <summary>How to pack the body; default not at all.</summary>
    public SealCompression Compression { get; init; }
}
