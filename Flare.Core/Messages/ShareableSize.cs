namespace Flare;

internal static class ShareableSize
{
    /// <summary>Bytes of all tensors that the message carries.</summary>
    public static long TensorBytes(this Shareable message) => Measure(message.Body);

    private static long Measure(FlareMap map)
    {
        var bytes = 0L;
        foreach (var (_, value) in map)
        {
            bytes += value.Kind switch
            {
                FlareValueKind.Tensors => value.AsTensors().Layout.ByteLength,
                FlareValueKind.Map => Measure(value.AsMap()),
                _ => 0,
            };
        }
        return bytes;
    }
}
