namespace Flare;

/// <summary>A brain floating-point number: the upper 16 bits of a binary32.</summary>
/// <param name="Bits">Sign, eight exponent bits, seven fraction bits.</param>
public readonly record struct BFloat16(ushort Bits)
{
    /// <summary>Widens exactly: every <see cref="BFloat16"/> is a <see cref="float"/>.</summary>
    public static explicit operator float(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value.Bits << 16);

    /// <summary>Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.</summary>
    public static explicit operator BFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value)) return new((ushort)((bits >> 16) | 0x40));
        return new((ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    /// <inheritdoc/>
    public override string ToString() => ((float)this).ToString(System.Globalization.CultureInfo.InvariantCulture);
}
