namespace Flare;

/// <summary>How much a message carries: measured once, when it is frozen, and every time before that.</summary>
internal static class ShareableSize
{
    /// <summary>Bytes of all that the message carries: what an upload permit is for.</summary>
    public static long ContentBytes(this Shareable message) => Sum(message, size => size.Bytes);

    /// <summary>Bytes of all tensors and runs of bytes that the message carries, wherever it carries them.</summary>
    public static long TensorBytes(this Shareable message) => Sum(message, size => size.TensorBytes);

    /// <summary>Refuses what nests too deep, or holds itself.</summary>
    /// <exception cref="FlareException">It does.</exception>
    public static void RequireDepth(this Shareable message)
    {
        MessageWalk.RequireDepth(message.Body);
        MessageWalk.RequireDepth(message.Headers);
    }

    // Both saturate at the largest number, and so does their sum.
    private static long Sum(Shareable message, Func<ContentSize, long> part)
    {
        var sum = unchecked(part(MessageWalk.Measure(message.Body)) + part(MessageWalk.Measure(message.Headers)));
        return sum < 0 ? long.MaxValue : sum;
    }
}
