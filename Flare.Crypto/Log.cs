using Microsoft.Extensions.Logging;

namespace Flare.Crypto;

/// <summary>What this package logs, with stable event ids.</summary>
internal static partial class Log
{
    [LoggerMessage(
        401,
        LogLevel.Warning,
        "{Site}: {Count} values of tensor '{Tensor}' were changed by encryption in round {Round}: "
            + "they were clipped to its range of ±{Range}, the largest being {Largest}. Set "
            + "EncryptionPolicy.Range wide enough at the server and all sites, or leave the tensor "
            + "out by EncryptionPolicy.Tensors; OutOfRange.Refuse sends nothing instead")]
    public static partial void Clipped(
        ILogger logger, string site, long count, string tensor, long round, double range, double largest);
}
