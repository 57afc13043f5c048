namespace Flare;

/// <summary>
/// How a model that holds ciphertext is known from one that holds values: by a tensor of bytes of a reserved name,
/// which describes the ciphertext. A name goes through messages, journals and safetensors files as it is. Whoever reads
/// values refuses such a model.
/// </summary>
public static class EncryptedForm
{
    /// <summary>
    /// The reserved name: that of the describing tensor, and with a dot and a number behind it of each ciphertext's.
    /// </summary>
    public const string TensorName = "flare.encryption";

    /// <summary>Whether a model of this layout holds ciphertext.</summary>
    public static bool Is(TensorLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return layout.IndexOf(TensorName) >= 0;
    }
}
