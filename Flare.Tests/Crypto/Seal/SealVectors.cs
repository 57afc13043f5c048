using System.Buffers;
using Flare.Crypto;

namespace Flare.Tests.Crypto.Seal;

/// <summary>Files that Microsoft SEAL 4.4.3 wrote; SealVectors/README.md says how.</summary>
internal static class SealVectors
{
    public static readonly string[] Ciphertexts =
        ["a.symmetric.seal", "a.seeded.seal", "a.seeded.zlib.seal", "a.seeded.zstd.seal", "b.public.zlib.seal",
            "sum.seal"];

    public static byte[] Read(string name)
    {
        using var stream = typeof(SealVectors).Assembly.GetManifestResourceStream("SealVectors/" + name)
            ?? throw new FileNotFoundException(name);
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    public static CkksParameters Parameters { get; } = SealFile.ReadParameters(Read("parms.seal"));

    /// <summary>The value of slot i in a file, by the formulas of the README.</summary>
    public static double Expected(string name, int slot) => name[0] switch
    {
        'a' => A(slot),
        'b' => B(slot),
        _ => A(slot) + B(slot),
    };

    public static byte[] Bytes(Action<IBufferWriter<byte>> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        write(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    private static double A(int i) => 0.5 * Math.Sin(0.001 * i);

    private static double B(int i) => 0.25 * Math.Cos(0.003 * i);
}
