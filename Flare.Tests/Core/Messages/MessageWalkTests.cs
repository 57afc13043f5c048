namespace Flare.Tests.Core.Messages;

/// <summary>
/// Messages that anybody may make: deep, holding themselves, one map a million times, large without a tensor.
/// </summary>
public class MessageWalkTests
{
    private const int FarTooDeep = 200_000;

    internal static FlareMap Deep(int levels)
    {
        FlareMap map = [];
        for (var i = 1; i < levels; i++) map = new() { ["m"] = map };
        return map;
    }

    internal static FlareMap DeepInLists(int levels)
    {
        var value = FlareValue.List();
        for (var i = 2; i < levels; i++) value = FlareValue.List(value);
        return new() { ["l"] = value };
    }

    private static FlareMap HoldsItself()
    {
        var map = new FlareMap { ["n"] = 1 };
        map["l"] = FlareValue.List(1, map);
        return map;
    }

    private static IEnumerable<TestCaseData> TooDeep() =>
    [
        new TestCaseData(Deep(FarTooDeep)).SetArgDisplayNames("maps"),
        new TestCaseData(DeepInLists(FarTooDeep)).SetArgDisplayNames("lists"),
        new TestCaseData(HoldsItself()).SetArgDisplayNames("itself"),
        new TestCaseData(Deep(65)).SetArgDisplayNames("one level too many"),
        new TestCaseData(DeepInLists(65)).SetArgDisplayNames("one list too many"),
    ];

    [TestCaseSource(nameof(TooDeep))]
    public void What_nests_too_deep_is_refused_wherever_a_message_begins(FlareMap deep)
    {
        Refused(deep.Freeze);
        Refused(() => new Shareable(deep).Freeze());
        var headers = new Shareable();
        headers.Headers["x"] = deep;
        Refused(() => headers.Freeze());
        Refused(() => _ = new FlareTask("t", 0, new Shareable(deep)));
        Assert.That(deep.IsReadOnly, Is.False, "what was refused is not half frozen");
        Assert.That(deep.ToString(), Has.Length.LessThan(2_000));

        static void Refused(Action attempt)
        {
            var error = Assert.Throws<FlareException>(attempt)!;
            Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.MalformedMessage));
            Assert.That(error.Message, Does.Contain("deeper than 64"));
        }
    }

    [Test]
    public void The_deepest_message_passes_and_what_was_frozen_counts_in_a_new_one()
    {
        var deepest = Deep(64);
        deepest.Freeze();
        Assert.That(deepest.IsReadOnly);
        Assert.That(() => new FlareMap { ["one more"] = deepest }.Freeze(), Throws.TypeOf<FlareException>());
        Assert.That(() => DeepInLists(64).Freeze(), Throws.Nothing);
    }

    [Test]
    public void Two_that_are_equal_as_far_as_a_message_goes_are_no_end_of_the_process()
    {
        Assert.That(Deep(64).ContentEquals(Deep(64)));
        Assert.That(Deep(64).ContentEquals(Deep(63)), Is.False);
        Assert.That(() => Deep(FarTooDeep).ContentEquals(Deep(FarTooDeep)), Throws.TypeOf<FlareException>());
        Assert.That(
            () => DeepInLists(FarTooDeep)["l"] == DeepInLists(FarTooDeep)["l"], Throws.TypeOf<FlareException>());
    }

    [Test]
    public void A_map_that_is_held_a_million_million_times_is_looked_at_once()
    {
        FlareMap map = new() { ["w"] = StateDict.Create(("w", [float.NaN])) };
        for (var i = 0; i < 30; i++) map = new() { ["a"] = map, ["b"] = FlareValue.List(map, map, map) };
        var message = new Shareable(map);
        Assert.That(map.Tensors().Count(), Is.EqualTo(1));
        Assert.That(map.FirstNonFiniteTensor(), Does.EndWith("w/w"));
        message.RequireDepth();
        Assert.That(message.ContentBytes(), Is.EqualTo(long.MaxValue), "as much as could be: more than any limit");
        message.Freeze();
        Assert.That(message.ContentBytes(), Is.EqualTo(long.MaxValue));
        Assert.That(map.ToString(), Has.Length.LessThan(3_000));
    }

    private static IEnumerable<TestCaseData> Megabytes()
    {
        (string Name, FlareValue Value)[] all =
        [
            ("text", new string('x', 500_000)),
            ("bytes", new byte[1_000_000]),
            ("tensors", StateDict.Create(("w", new float[250_000]))),
            ("a list of numbers", FlareValue.List([.. Enumerable.Range(0, 50_000).Select(i => (FlareValue)i)])),
            ("a list of nothing", FlareValue.List(new FlareValue[50_000])),
            ("a map of numbers", Names(20_000, "")),
            ("long names", Names(100, new string('n', 5_000))),
            ("a list of short texts",
                FlareValue.List([.. Enumerable.Range(0, 30_000).Select(i => (FlareValue)"four")])),
        ];
        foreach (var (name, value) in all)
        {
            yield return new TestCaseData(new Shareable(new() { ["v"] = value })).SetArgDisplayNames(name);
            var header = new Shareable();
            header.Headers["v"] = FlareValue.List(value);
            yield return new TestCaseData(header).SetArgDisplayNames($"{name}, in a header's list");
        }

        static FlareMap Names(int count, string prefix)
        {
            var map = new FlareMap();
            for (var i = 0; i < count; i++) map[$"{prefix}{i}"] = i;
            return map;
        }
    }

    [TestCaseSource(nameof(Megabytes))]
    public void All_that_a_message_carries_counts(Shareable message)
    {
        var open = message.ContentBytes();
        Assert.That(open, Is.InRange(600_000, 3_000_000));
        Assert.That(message.Freeze().ContentBytes(), Is.EqualTo(open), "frozen it is measured once and says the same");
    }

    [Test]
    public void Tensors_are_found_with_the_names_that_lead_to_them()
    {
        var (a, b, c) = (Model(1), Model(2), Model(3));
        var map = new FlareMap { ["x"] = new FlareMap { ["b"] = b, ["c"] = FlareValue.List(1, c) }, ["a"] = a,
            ["n"] = FlareValue.List("t") };
        Assert.That(map.Tensors(), Is.EquivalentTo(new[] { ("a", a), ("x/b", b), ("x/c", c) }));
        map.Freeze();
        Assert.That(map.Tensors().Select(t => t.Path), Is.EqualTo(new[] { "a", "x/b", "x/c" }));
        Assert.That(new FlareMap { ["n"] = FlareValue.List(new FlareMap()) }.Tensors(), Is.Empty);

        static StateDict Model(float value) => StateDict.Create(("w", [value]));
    }
}
