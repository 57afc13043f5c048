using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>The functions with which SEAL expands a seed; the values are those of its files.</summary>
public enum SealGeneratorKind : byte
{
    /// <summary>BLAKE2Xb keyed with the seed: SEAL's default, and the faster here.</summary>
    Blake2xb = 1,

    /// <summary>SHAKE256 of seed and counter.</summary>
    Shake256 = 2,
}

/// <summary>
/// SEAL's generator: a stream of blocks of 4,096 bytes, block i expanded from a 64-byte seed and the counter i. It also
/// makes the secret noise here, from a fresh seed for each encryption.
/// </summary>
internal sealed class SealGenerator
{
    public const int SeedSize = 64;

    private const int BlockSize = Blake2xb.OutputSize;

    private readonly byte[] _block = new byte[BlockSize];
    private readonly byte[] _seed = new byte[SeedSize + sizeof(ulong)];
    private readonly Blake2xb _blake;
    private SealGeneratorKind _kind;
    private ulong _counter;
    private int _taken;

    public SealGenerator(SealGeneratorKind kind, ReadOnlySpan<byte> seed, KernelPath path = KernelPath.Best)
    {
        _blake = new Blake2xb(seed, path);
        Restart(kind, seed);
    }

    /// <summary>Starts the stream of another seed.</summary>
    public void Restart(SealGeneratorKind kind, ReadOnlySpan<byte> seed)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(seed.Length, SeedSize, nameof(seed));
        seed.CopyTo(_seed);
        (_kind, _counter, _taken) = (kind, 0, BlockSize);
        if (kind == SealGeneratorKind.Blake2xb) _blake.Rekey(seed);
    }

    /// <summary>Takes the next bytes of the stream.</summary>
    public void Fill(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (_taken == BlockSize && destination.Length >= BlockSize)
            {
                Expand(destination[..BlockSize]);
                destination = destination[BlockSize..];
                continue;
            }
            if (_taken == BlockSize)
            {
                Expand(_block);
                _taken = 0;
            }
            var count = Math.Min(destination.Length, BlockSize - _taken);
            _block.AsSpan(_taken, count).CopyTo(destination);
            _taken += count;
            destination = destination[count..];
        }
    }

    /// <summary>Takes the next 8 bytes as an integer.</summary>
    public ulong NextWord()
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        Fill(word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word);
    }

    /// <summary>Erases seed and buffered output.</summary>
    public void Clear()
    {
        CryptographicOperations.ZeroMemory(_seed);
        CryptographicOperations.ZeroMemory(_block);
        _blake.Clear();
        _taken = BlockSize;
    }

    private void Expand(Span<byte> block)
    {
        if (_kind == SealGeneratorKind.Blake2xb)
        {
            _blake.Expand(_counter++, block);
            return;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(_seed.AsSpan(SeedSize), _counter++);
        Keccak.Shake256(_seed, block);
    }
}
