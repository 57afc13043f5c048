using System.Text.Json.Serialization;

namespace Flare;

/// <summary>
/// What a <see cref="FlareValue"/> holds. The numbers are part of the wire contract and never change.
/// </summary>
public enum FlareValueKind : byte
{
    /// <summary>Nothing.</summary>
    Null = 0,
    /// <summary><see cref="bool"/>.</summary>
    Boolean = 1,
    /// <summary><see cref="long"/>; narrower integers widen to it.</summary>
    Integer = 2,
    /// <summary><see cref="double"/>.</summary>
    Number = 3,
    /// <summary><see cref="string"/>.</summary>
    Text = 4,
    /// <summary>Bytes.</summary>
    Bytes = 5,
    /// <summary>A list of values.</summary>
    List = 6,
    /// <summary>A <see cref="FlareMap"/>.</summary>
    Map = 7,
    /// <summary>A <see cref="StateDict"/>.</summary>
    Tensors = 8,
}

/// <summary>
/// A value in a message: one of a closed set of types. Nothing else travels, so that reading a message can never create
/// an object of the sender's choice (FLARE's pickled messages could, until its FOBS).
/// </summary>
[JsonConverter(typeof(FlareValueJsonConverter))]
public readonly struct FlareValue : IEquatable<FlareValue>
{
    private readonly object? _object;
    private readonly long _bits;

    private FlareValue(FlareValueKind kind, object? value, long bits = 0) =>
        (Kind, _object, _bits) = (kind, value, bits);

    /// <summary>The kind of value.</summary>
    public FlareValueKind Kind { get; }

    /// <summary>Wraps a Boolean.</summary>
    public static implicit operator FlareValue(bool value) => new(FlareValueKind.Boolean, null, value ? 1 : 0);
    /// <summary>Wraps an integer.</summary>
    public static implicit operator FlareValue(int value) => new(FlareValueKind.Integer, null, value);
    /// <summary>Wraps an integer.</summary>
    public static implicit operator FlareValue(long value) => new(FlareValueKind.Integer, null, value);
    /// <summary>Wraps a number.</summary>
    public static implicit operator FlareValue(double value) =>
        new(FlareValueKind.Number, null, BitConverter.DoubleToInt64Bits(value));
    /// <summary>Wraps a text; null gives the null value.</summary>
    public static implicit operator FlareValue(string? value) =>
        value is null ? default : new(FlareValueKind.Text, value);
    /// <summary>Wraps bytes without copying: do not change them afterwards.</summary>
    public static implicit operator FlareValue(byte[]? value) =>
        value is null ? default : new(FlareValueKind.Bytes, value);
    /// <summary>Wraps a map without copying; null gives the null value.</summary>
    public static implicit operator FlareValue(FlareMap? value) =>
        value is null ? default : new(FlareValueKind.Map, value);
    /// <summary>Wraps tensors without copying; null gives the null value.</summary>
    public static implicit operator FlareValue(StateDict? value) =>
        value is null ? default : new(FlareValueKind.Tensors, value);

    /// <summary>Wraps a list, copying the list but not what its items refer to.</summary>
    public static FlareValue List(params ReadOnlySpan<FlareValue> items) =>
        new(FlareValueKind.List, new FlareList(items.ToArray()));

    /// <summary>Wraps a list without copying it: for who made the array and gives it away.</summary>
    internal static FlareValue ListOf(FlareValue[] items) => new(FlareValueKind.List, new FlareList(items));

    /// <summary>The Boolean.</summary>
    /// <exception cref="FlareException">The value is of another kind; so for all accessors.</exception>
    public bool AsBoolean() => Kind == FlareValueKind.Boolean ? _bits != 0 : throw Mismatch(FlareValueKind.Boolean);
    /// <summary>The integer.</summary>
    public long AsInteger() => Kind == FlareValueKind.Integer ? _bits : throw Mismatch(FlareValueKind.Integer);
    /// <summary>The number; an integer converts.</summary>
    public double AsNumber() => Kind switch
    {
        FlareValueKind.Number => BitConverter.Int64BitsToDouble(_bits),
        FlareValueKind.Integer => _bits,
        _ => throw Mismatch(FlareValueKind.Number),
    };
    /// <summary>The text.</summary>
    public string AsText() => Kind == FlareValueKind.Text ? (string)_object! : throw Mismatch(FlareValueKind.Text);
    /// <summary>The bytes, not a copy.</summary>
    public ReadOnlyMemory<byte> AsBytes() =>
        Kind == FlareValueKind.Bytes ? (byte[])_object! : throw Mismatch(FlareValueKind.Bytes);
    /// <summary>The items.</summary>
    public IReadOnlyList<FlareValue> AsList() =>
        Kind == FlareValueKind.List ? (FlareList)_object! : throw Mismatch(FlareValueKind.List);
    /// <summary>The map, not a copy.</summary>
    public FlareMap AsMap() => Kind == FlareValueKind.Map ? (FlareMap)_object! : throw Mismatch(FlareValueKind.Map);
    /// <summary>The tensors, not a copy.</summary>
    public StateDict AsTensors() =>
        Kind == FlareValueKind.Tensors ? (StateDict)_object! : throw Mismatch(FlareValueKind.Tensors);

    /// <summary>The map or list; null for all other kinds.</summary>
    internal IContainer? AsContainer() =>
        Kind is FlareValueKind.Map or FlareValueKind.List ? (IContainer)_object! : null;

    /// <summary>Structural equality; tensors are equal when they are the same instance.</summary>
    /// <exception cref="FlareException">Both nest deeper than a message may, and are equal as far as that.</exception>
    public bool Equals(FlareValue other) => EqualsAt(other, 1);

    internal bool EqualsAt(FlareValue other, int depth) => Kind == other.Kind && Kind switch
    {
        FlareValueKind.Text => (string)_object! == (string)other._object!,
        FlareValueKind.Bytes => ((byte[])_object!).AsSpan().SequenceEqual((byte[])other._object!),
        FlareValueKind.List or FlareValueKind.Map =>
            MessageWalk.AreEqual((IContainer)_object!, (IContainer)other._object!, depth),
        FlareValueKind.Tensors => ReferenceEquals(_object, other._object),
        _ => _bits == other._bits,
    };

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is FlareValue other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() =>
        HashCode.Combine(Kind, _bits, _object is string text ? text.GetHashCode(StringComparison.Ordinal) : 0);

    /// <summary>Structural equality.</summary>
    public static bool operator ==(FlareValue left, FlareValue right) => left.Equals(right);

    /// <summary>Structural inequality.</summary>
    public static bool operator !=(FlareValue left, FlareValue right) => !left.Equals(right);

    /// <summary>For people: text as it is, lists and maps cut to about 1,000 characters.</summary>
    public override string ToString() => Kind == FlareValueKind.Text ? (string)_object! : Readout.Of(this);

    // Whatever a sender put there: the error must not grow with it.
    private FlareException Mismatch(FlareValueKind expected) => new(
        ErrorIds.MalformedMessage,
        $"A message holds a value of kind {Kind} where {expected} is expected: {Readout.Of(this, 200)}.");
}
