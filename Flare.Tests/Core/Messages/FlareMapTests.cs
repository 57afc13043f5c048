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
        Assert.That(() => map["gamma"], Throws.TypeOf<FlareException>().With.Message.Contains("'gamma'").And.Message.Contains("alpha, beta"));
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
}
