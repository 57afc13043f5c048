namespace Flare.Crypto;

/// <summary>Which implementation a kernel takes; all give the same bits. Tests force each one in turn.</summary>
internal enum KernelPath
{
    /// <summary>The fastest that this machine has.</summary>
    Best,

    /// <summary>Plain C#, on any machine.</summary>
    Portable,

    /// <summary>256-bit vectors.</summary>
    Vector256,

    /// <summary>512-bit vectors.</summary>
    Vector512,
}
