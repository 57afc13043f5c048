namespace Flare.Tests.Core.Messages;

public class FlareValueTests
{
    private static readonly StateDict[] Kept = [StateDict.Create(("w", [1f]))];

    private static StateDict Tensors => Kept[0];

    private static readonly (FlareValue Value, FlareValueKind Kind)[] OneOfEach =
    [
        (default, FlareValueKind.Null), (true, FlareValueKind.Boolean), (-5, FlareValueKind.Integer),
        (long.MinValue, FlareValueKind.Integer),
        (0.5, FlareValueKind.Number), ("text", FlareValueKind.Text), (new byte[] { 1 }, FlareValueKind.Bytes),
        (FlareValue.List(1, "a"), FlareValueKind.List), (new FlareMap { ["a"] = 1 }, FlareValueKind.Map),
        (Tensors, FlareValueKind.Tensors),
    ];

    [Test]
    public void A_value_is_of_one_of_nine_kinds_with_frozen_numbers()
    {
        Assert.That(OneOfEach.Select(v => v.Value.Kind), Is.EqualTo(OneOfEach.Select(v => v.Kind)));
        Assert.That(
            Enum.GetValues<FlareValueKind>()
            .Select(k => $"{(int)k} {k}"),
            Is.EqualTo(
                new[] { "0 Null", "1 Boolean", "2 Integer", "3 Number", "4 Text", "5 Bytes", "6 List", "7 Map",
                    "8 Tensors" }));
        Assert.That(OneOfEach.Select(v => v.Kind).Distinct().Count(), Is.EqualTo(9));
    }

    [Test]
    public void Reading_a_value_as_another_kind_says_what_it_is()
    {
        (string Name, Action<FlareValue> Read, FlareValueKind[] Allowed)[] readers =
        [
            ("Boolean", v => v.AsBoolean(), [FlareValueKind.Boolean]),
            ("Integer", v => v.AsInteger(), [FlareValueKind.Integer]),
            ("Number", v => v.AsNumber(), [FlareValueKind.Number, FlareValueKind.Integer]),
            ("Text", v => v.AsText(), [FlareValueKind.Text]),
            ("Bytes", v => v.AsBytes(), [FlareValueKind.Bytes]), ("List", v => v.AsList(), [FlareValueKind.List]),
            ("Map", v => v.AsMap(), [FlareValueKind.Map]), ("Tensors", v => v.AsTensors(), [FlareValueKind.Tensors]),
        ];
        foreach (var (value, kind) in OneOfEach)
            foreach (var (name, read, allowed) in readers)
            {
                if (allowed.Contains(kind)) Assert.That(() => read(value), Throws.Nothing);
                else
                    Assert.That(
                        () => read(value), Throws.TypeOf<FlareException>().With.Property("ErrorId")
                        .EqualTo(ErrorIds.MalformedMessage).And.Message.Contains(
                            $"kind {kind} where {name} is expected"));
            }
    }

    [Test]
    public void Values_come_back_as_they_went_in()
    {
        Assert.That(((FlareValue)long.MaxValue).AsInteger(), Is.EqualTo(long.MaxValue));
        Assert.That(((FlareValue)3).AsNumber(), Is.EqualTo(3.0));
        Assert.That(
            BitConverter.DoubleToInt64Bits(((FlareValue)(-0.0)).AsNumber()),
            Is.EqualTo(BitConverter.DoubleToInt64Bits(-0.0)));
        Assert.That(((FlareValue)double.NaN).AsNumber(), Is.NaN);
        Assert.That(((FlareValue)(string?)null).Kind, Is.EqualTo(FlareValueKind.Null));
        Assert.That(((FlareValue)Tensors).AsTensors(), Is.SameAs(Tensors));
        Assert.That(((FlareValue)new byte[] { 1, 2 }).AsBytes().ToArray(), Is.EqualTo(new byte[] { 1, 2 }));
    }

    [Test]
    public void Equality_is_structural_and_agrees_with_the_hash()
    {
        FlareValue Nested() => FlareValue.List(new FlareMap { ["a"] = 1, ["b"] = new byte[] { 1 } }, "x", 0.5);
        var (one, other) = (Nested(), Nested());
        Assert.That(one, Is.EqualTo(other));
        Assert.That(one.GetHashCode(), Is.EqualTo(other.GetHashCode()));
        Assert.That((FlareValue)new FlareMap { ["a"] = 1, ["b"] = 2 } == new FlareMap { ["b"] = 2, ["a"] = 1 });
        Assert.That((FlareValue)new FlareMap { ["a"] = 1 } != new FlareMap { ["a"] = 1, ["b"] = 2 });
        Assert.That((FlareValue)1 != 1.0, "an integer is no number");
        Assert.That((FlareValue)Tensors != Tensors.Clone(), "tensors are compared by identity");
        Assert.That((FlareValue)double.NaN == double.NaN);
    }

    [Test]
    public void A_list_is_a_copy_of_what_it_was_made_of()
    {
        FlareValue[] items = [1, 2];
        var list = FlareValue.List(items);
        items[0] = 9;
        Assert.That(list.AsList(), Is.EqualTo(new FlareValue[] { 1, 2 }));
    }

    [Test]
    public void Values_print_for_people() =>
        Assert.That(
            FlareValue.List(default, true, -3, 0.1, "t", new byte[3], new FlareMap { ["k"] = 1 }, Tensors)
            .ToString(), Is.EqualTo("[null, true, -3, 0.1, t, 3 bytes, {k: 1}, 1 tensors]"));

    [Test]
    public void An_error_about_a_value_does_not_grow_with_it()
    {
        FlareValue[] large =
        [
            FlareValue.List(new FlareValue[4_000_000]), new string('x', 4_000_000), MessageWalkTests.Deep(100_000),
            new FlareMap { [new string('n', 1_000_000)] = new string('x', 1_000_000) },
        ];
        foreach (var value in large)
        {
            var error = Assert.Throws<FlareException>(() => value.AsBoolean())!;
            Assert.That(
                error.Message, Has.Length.LessThan(1_000).And.Contain($"kind {value.Kind} where Boolean is expected"));
        }
        Assert.That(large[0].ToString(), Has.Length.LessThan(1_100).And.Contain("more)"));
        Assert.That(((FlareValue)new string('x', 5_000)).ToString(), Has.Length.EqualTo(5_000), "a text is itself");
    }
}
