namespace Flare;

internal static class ShareableSize
{
    /// <summary>Bytes of all tensors and runs of bytes that the message carries, wherever it carries them.</summary>
    public static long TensorBytes(this Shareable message) => Measure(message.Body) + Measure(message.Headers);

    private static long Measure(FlareMap map)
    {
        var bytes = 0L;
        foreach (var (_, value) in map) bytes += Measure(value);
        return bytes;
    }

    private static long Measure(FlareValue value)
    {
        if (value.Kind == FlareValueKind.Tensors) return value.AsTensors().Layout.ByteLength;
        if (value.Kind == FlareValueKind.Bytes) return value.AsBytes().Length;
        if (value.Kind == FlareValueKind.Map) return Measure(value.AsMap());
        var bytes = 0L;
        if (value.Kind == FlareValueKind.List)
            foreach (var item in value.AsList()) bytes += Measure(item);
        return bytes;
    }
}
