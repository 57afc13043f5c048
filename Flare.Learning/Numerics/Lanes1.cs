using System.Runtime.CompilerServices;

namespace Flare.Learning;

/// <summary>One float: the path without vectors, which in software would cost many times as much.</summary>
internal readonly unsafe struct Lanes1(float value) : ILanes<Lanes1>
{
    private readonly float _value = value;

    public static int Count => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 Load(float* source) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes1 value, float* destination) => *destination = value._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 Broadcast(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 operator +(Lanes1 left, Lanes1 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 operator -(Lanes1 left, Lanes1 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 operator *(Lanes1 left, Lanes1 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 operator /(Lanes1 left, Lanes1 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 Max(Lanes1 left, Lanes1 right) => new(MathF.Max(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 SquareRoot(Lanes1 value) => new(MathF.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 WhereGreater(Lanes1 left, Lanes1 right, Lanes1 value) =>
        left._value > right._value ? value : default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 WhereEqual(Lanes1 left, Lanes1 right, Lanes1 value) =>
        left._value == right._value ? value : default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 WhereUnequal(Lanes1 left, Lanes1 right, Lanes1 value) =>
        left._value == right._value ? default : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes1 PowerOfTwo(Lanes1 magicPlusN)
    {
        var exponent = BitConverter.SingleToInt32Bits(magicPlusN._value) << Lanes.ExponentShift;
        return new(BitConverter.Int32BitsToSingle(exponent + Lanes.OneBits));
    }
}
