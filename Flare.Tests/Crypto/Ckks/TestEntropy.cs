using System.Buffers.Binary;
using Flare.Crypto;

namespace Flare.Tests.Crypto.Ckks;

/// <summary>Entropy that repeats, so that a failing test fails again.</summary>
internal static class TestEntropy
{
    public static Entropy Seeded(int seed)
    {
        var bytes = new byte[SealGenerator.SeedSize];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, seed);
        return new SealGenerator(SealGeneratorKind.Shake256, bytes).Fill;
    }
}
