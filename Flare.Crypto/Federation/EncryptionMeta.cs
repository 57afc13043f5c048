namespace Flare.Crypto;

/// <summary>What an encrypted contribution says beside FLARE's own PROCESSED_ALGORITHM and PROCESSED_KEYS.</summary>
internal static class EncryptionMeta
{
    /// <summary>How many values were clipped.</summary>
    public static readonly MetaKey Clipped = new("encryption_clipped");

    /// <summary>Seconds that encrypting took.</summary>
    public static readonly MetaKey Seconds = new("encryption_seconds");

    /// <summary>Seconds that opening the task's model took.</summary>
    public static readonly MetaKey DecryptSeconds = new("encryption_decrypt_seconds");

    /// <summary>Whether tensors are anywhere among the values.</summary>
    public static bool HoldsTensors(FlareMap map) => map.Tensors().Any();
}
