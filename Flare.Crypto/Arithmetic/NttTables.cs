using System.Buffers.Binary;
using System.Numerics;

namespace Flare.Crypto;

/// <summary>
/// The powers of ψ that every kernel of a transform needs, in the order in which the butterflies want them.
/// </summary>
internal sealed class NttTables
{
    /// <summary>Computes the tables of one transform.</summary>
    public NttTables(int degree, Modulus modulus, ulong root)
    {
        Degree = degree;
        Modulus = modulus;
        Roots = Scrambled(root);
        InverseRoots = Scrambled(modulus.Inverse(root));
        DegreeInverse = modulus.Inverse((ulong)degree);
    }

    /// <summary>N.</summary>
    public int Degree { get; }

    /// <summary>q.</summary>
    public Modulus Modulus { get; }

    /// <summary>Roots[bitrev(i)] = ψ^i: stage m's i-th block of butterflies takes Roots[m + i].</summary>
    public ulong[] Roots { get; }

    /// <summary>InverseRoots[bitrev(i)] = ψ^-i.</summary>
    public ulong[] InverseRoots { get; }

    /// <summary>1/N mod q.</summary>
    public ulong DegreeInverse { get; }

    private ulong[] Scrambled(ulong root)
    {
        var powers = new ulong[Degree];
        var shift = 32 - BitOperations.Log2((uint)Degree);
        var power = 1ul;
        for (var i = 0; i < Degree; i++, power = Modulus.Multiply(power, root))
            powers[Reverse((uint)i) >> shift] = power;
        return powers;
    }

    private static uint Reverse(uint x)
    {
        x = ((x >> 1) & 0x55555555) | ((x & 0x55555555) << 1);
        x = ((x >> 2) & 0x33333333) | ((x & 0x33333333) << 2);
        x = ((x >> 4) & 0x0F0F0F0F) | ((x & 0x0F0F0F0F) << 4);
        return BinaryPrimitives.ReverseEndianness(x);
    }
}
