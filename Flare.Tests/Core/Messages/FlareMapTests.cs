namespace Flare.Tests.Core.Messages;

public class FlareMapTests
{
    [Test]
    public void Names_keep_the_order_of_their_first_setting()
    {
        var map = new FlareMap { { "b", 1 }, { "a", 2 }, { "c", 3 } };
        map["b"] = 4;
        for (var i = 0; i < 20; i++) map[$"{i}"] = i;
        Assert.That(map.Take(3).Select(m => $"{m.Key}={m.Value}"), Is.EqualTo(new[] { "b=4", "a=2", "c=3" }));
        Assert.That(map.Count, Is.EqualTo(23));
        Assert.That(map["19"].AsInteger(), Is.EqualTo(19));
    }

    [Test]
    public void A_missing_value_is_an_error_that_names_those_that_are_there()
    {
        var map = new FlareMap { ["alpha"] = 1, ["beta"] = 2 };
        Assert.That(
            () => map["gamma"],
            Throws.TypeOf<FlareException>().With.Message.Contains("'gamma'").And.Message.Contains("alpha, beta"));
        Assert.That(map.TryGet("gamma", out var value), Is.False);
        Assert.That(value.Kind, Is.EqualTo(FlareValueKind.Null));
        Assert.That((map.Contains("alpha"), map.Contains("Alpha")), Is.EqualTo((true, false)));
    }

    [Test]
    public void Freezing_reaches_all_that_the_map_holds()
    {
        var tensors = StateDict.Create(("w", [1f]));
        var inner = new FlareMap { ["t"] = tensors };
        var inList = new FlareMap();
        var map = new FlareMap { ["inner"] = inner, ["list"] = FlareValue.List(1, inList) };
        map.Freeze();
        Assert.That(map.IsReadOnly && inner.IsReadOnly && inList.IsReadOnly && tensors.IsReadOnly);
        Assert.That(() => map["x"] = 1, Throws.InvalidOperationException.With.Message.Contains("the message was sent"));
        Assert.That(() => inner["x"] = 1, Throws.InvalidOperationException);
        Assert.That(map.Count, Is.EqualTo(2));
    }

    [Test]
    public void A_copy_is_writable_and_leaves_the_original_alone()
    {
        var map = new FlareMap { ["a"] = 1 };
        map.Freeze();
        var copy = new FlareMap(map) { ["a"] = 2, ["b"] = 3 };
        Assert.That((map["a"].AsInteger(), map.Count, copy.Count), Is.EqualTo((1L, 1, 2)));
    }

    [Test]
    public void Many_names_are_found_as_fast_as_few()
    {
        // A scan for each name would compare 10^11 times: minutes, where this takes a tenth of a second.
        const int names = 400_000;
        FlareMap map = [], copy = [];
        var thread = new Thread(() =>
        {
            for (var i = 0; i < names; i++) map[$"k{i}"] = i;
            for (var i = 0; i < names; i++) map[$"k{i}"] = -i;
            copy = new(map) { ["another"] = 1 };
            map.Freeze();
        });
        thread.Start();
        Assert.That(thread.Join(TimeSpan.FromSeconds(30)));
        Assert.That(
            (map.Count, map["k399999"].AsInteger(), map.Contains("another")), Is.EqualTo((names, -399_999L, false)));
        Assert.That(
            (copy.Count, copy["k7"].AsInteger(), copy["another"].AsInteger()), Is.EqualTo((names + 1, -7L, 1L)));
        Assert.That(map.ContentEquals(new FlareMap(map)));
        Assert.That(() => map["gone"], Throws.TypeOf<FlareException>().With.Message.Length.LessThan(1_000));
    }

    [TestCase(15), TestCase(16), TestCase(17), TestCase(40)]
    public void Names_are_found_however_many_there_are(int names)
    {
        var map = new FlareMap();
        for (var i = 0; i < names; i++) map[$"k{i}"] = i;
        for (var i = 0; i < names; i++) Assert.That(map[$"k{i}"].AsInteger(), Is.EqualTo(i));
        Assert.That((map.Contains("k"), map.Contains($"k{names}"), map.Count), Is.EqualTo((false, false, names)));
        Assert.That(map.Select(m => m.Key), Is.EqualTo(Enumerable.Range(0, names).Select(i => $"k{i}")));
    }
}
