using Flare.Runtime;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Tests.Core.Context;

public class FLContextTests
{
    private static RunSide Side() => new()
    {
        Identity = "site-1", JobId = "job", Seed = 42, Time = TimeProvider.System, Logger = NullLogger.Instance,
            Compute = ComputeScheduler.ThreadPool,
    };

    [Test]
    public void Properties_are_typed_and_live_as_long_as_their_key_says()
    {
        var side = Side();
        var (brief, sticky) =
            (new FLContextKey<int>("brief"), new FLContextKey<string>("sticky", lifetime: PropertyLifetime.Run));
        var first = new FLContext(side);
        first.Set(brief, 1);
        first.Set(sticky, "kept");
        first.Set(brief, 2);
        Assert.That((first.Get(brief), first.Get(sticky)), Is.EqualTo((2, "kept")));
        var second = new FLContext(side);
        Assert.That(second.TryGet(brief, out _), Is.False);
        Assert.That(second.Get(sticky), Is.EqualTo("kept"));
        Assert.That(() => second.Get(brief), Throws.TypeOf<KeyNotFoundException>().With.Message.Contains("'brief'"));
    }

    [Test]
    public void A_property_cannot_change_type_visibility_or_lifetime()
    {
        var side = Side();
        var context = new FLContext(side);
        context.Set(new FLContextKey<int>("x", PropertyVisibility.Public), 1);
        Assert.That(() => context.Set(new FLContextKey<int>("x"), 2), Conflict("Public", "Private"));
        Assert.That(
            () => context.Get(new FLContextKey<long>("x", PropertyVisibility.Public)), Conflict("Int32", "Int64"));
        Assert.That(
            () => context.Set(new FLContextKey<int>("x", PropertyVisibility.Public, PropertyLifetime.Run), 2),
            Conflict("Context", "Run"));
        context.Set(new FLContextKey<int>("y", lifetime: PropertyLifetime.Run), 1);
        Assert.That(() => new FLContext(side).Set(new FLContextKey<int>("y"), 2), Conflict("Run", "Context"));
        Assert.That(context.Get(new FLContextKey<int>("x", PropertyVisibility.Public)), Is.EqualTo(1));

        static NUnit.Framework.Constraints.IResolveConstraint Conflict(string is_, string used) =>
            Throws.TypeOf<FlareException>().With.Property("ErrorId")
            .EqualTo(ErrorIds.ContextProperty).And.Message.Contains(is_).And.Message.Contains(
                used).And.Message.Contains("one key for it everywhere");
    }

    [Test]
    public void Only_public_properties_travel_and_only_types_that_can()
    {
        var side = Side();
        var context = new FLContext(side);
        Assert.That(context.PublicProperties(), Is.Null);
        context.Set(new FLContextKey<object>("secret"), new object());
        context.Set(new FLContextKey<string>("hospital", PropertyVisibility.Public, PropertyLifetime.Run), "north");
        context.Set(new FLContextKey<double>("load", PropertyVisibility.Public), 0.5);
        Assert.That(context.PublicProperties()!.ContentEquals(new FlareMap { ["hospital"] = "north", ["load"] = 0.5 }));
        Assert.That(new FLContext(side).PublicProperties()!.ContentEquals(new FlareMap { ["hospital"] = "north" }));
        Assert.That(
            () => new FLContextKey<Uri>("u", PropertyVisibility.Public),
            Throws.ArgumentException.With.Message.Contains("Uri cannot"));
    }

    [Test]
    public void Seeds_are_frozen_and_independent()
    {
        // Computed by a Python implementation of FNV-1a and SplitMix64's mixer: a run is named by its seed for good.
        Assert.That(
            new[] { Seeds.Derive(0, "server"), Seeds.Derive(42, "site-1", "train", 3, "shuffle") }, Is.EqualTo(Frozen));
        Assert.That(
            new FLContext(Side(), taskName: "train", token: new TaskToken("job", 1, 3, 9)).Seed("shuffle"),
            Is.EqualTo(Seeds.Derive(42, "site-1", "train", 3, "shuffle")));
        var all = from site in Enumerable.Range(0, 20) from round in Enumerable.Range(
            0, 20) from purpose in new[] { "", "a", "b" } select Seeds.Derive(
            7, $"site-{site}", "train", round, purpose);
        Assert.That(all.Distinct().Count(), Is.EqualTo(20 * 20 * 3));
        Assert.That(Seeds.Derive(1, "ab", "c"), Is.Not.EqualTo(Seeds.Derive(1, "a", "bc")));
    }

    private static readonly ulong[] Frozen = [2184812558117611453UL, 945284553306189072UL];
}
