using System.Buffers;
using System.Buffers.Binary;
using Flare.Runtime;
using Flare.Testing;
using Flare.Workflows;

namespace Flare.Tests.Federations;

/// <summary>Models go to sites by their content's hash: once to each, a bounded number at a time.</summary>
public class ModelFetchTests
{
    private const long ModelBytes = 4 * 8192;

    [Test]
    public void A_rounds_model_goes_once_to_a_site_though_validation_and_the_next_round_need_it(
        [Values] bool isReliable)
    {
        const int rounds = 3;
        var wire = new Wire { Model = Model(), Faults = new() { IsReliable = isReliable } };
        wire.Run(new FedAvg { Rounds = rounds, MinSites = 2, Validation = ValidationMode.AfterAggregation }, sites: 2);
        Assert.That(wire.Rounds, Is.EqualTo(rounds));
        foreach (var site in wire.Sites)
            Assert.That(wire.BytesTo(site), Is.InRange((1 + rounds) * ModelBytes, (1.1 + rounds) * ModelBytes));
    }

    [Test]
    public void A_site_that_keeps_none_gets_it_each_time()
    {
        var wire = new Wire { Model = Model(), Limits = new() { ModelsKeptAtSite = 0 } };
        wire.Run(new FedAvg { Rounds = 2, MinSites = 1, Validation = ValidationMode.AfterAggregation }, sites: 1);
        Assert.That(wire.BytesTo("site-1"), Is.InRange(4 * ModelBytes, 4.1 * ModelBytes));
    }

    [Test]
    public void A_site_that_starts_again_fetches_anew()
    {
        var wire = new Wire { Model = Model(), Executor = (_, start) => start == 1 ? new Hanging() : Sites.Adding(1) };
        wire.Run(new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.None }, sites: 1,
            TimeSpan.FromSeconds(2));
        Assert.That(wire.Rounds, Is.EqualTo(1));
        Assert.That(wire.BytesTo("site-1"), Is.InRange(2 * ModelBytes, 2.1 * ModelBytes));
    }

    [Test]
    public void Two_hundred_sites_stay_under_the_budget_and_are_served_in_turn([Values(1, 8)] int budget)
    {
        var wire = new Wire
        {
            Model = Model(),
            Limits = new() { MaxConcurrentDownloads = budget },
            Faults = new() { IsReliable = true, BytesPerSecond = ModelBytes },
        };
        wire.Run(new FedAvg { Rounds = 1, MinSites = 200, Validation = ValidationMode.None }, sites: 200);
        Assert.That(wire.Rounds, Is.EqualTo(1));
        Assert.That(wire.MostDownloads, Is.EqualTo(budget));
        Assert.That(wire.Served, Is.EqualTo(wire.Asked), "who asks first is served first");
    }

    [Test]
    public void A_place_is_free_again_once_its_round_is_over_or_its_site_is_lost()
    {
        // One site is cut off once it has asked: what it is sent does not arrive.
        var wire = new Wire
        {
            Model = Model(),
            Faults = new(),
            Limits = Simulation.ShortLimits with { MaxConcurrentDownloads = 1 },
            Cut = "site-1",
        };
        wire.Run(new FedAvg { Rounds = 2, MinSites = 2, Grace = TimeSpan.FromSeconds(1) }, sites: 3);
        Assert.That(wire.Rounds, Is.EqualTo(2));
    }

    [Test]
    public void A_place_is_free_again_although_the_word_was_lost_that_the_model_has_come()
    {
        var wire = new Wire
        {
            Model = Model(),
            Faults = new(),
            Limits = Simulation.ShortLimits with { MaxConcurrentDownloads = 1 },
            Loses = "site-1",
            Executor = (_, _) => new Slow(TimeSpan.FromMinutes(5)),
        };
        wire.Run(new FedAvg { Rounds = 1, MinSites = 3, Validation = ValidationMode.None }, sites: 3);
        Assert.That(wire.Loop.Now, Is.LessThan(TimeSpan.FromMinutes(6)), "one site's training held up the others");
    }

    [Test]
    public void A_model_that_is_not_what_its_hash_says_is_refused_and_the_report_says_so()
    {
        var trained = 0;
        var wire = new Wire
        {
            Model = Model(),
            Spoils = true,
            Executor = (_, _) => Sites.Answering(_ =>
            {
                trained++;
                return new();
            }),
        };
        var error = Assert.Throws<TooFewResponsesException>(
            () => wire.Run(new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.None }, sites: 1))!;
        Assert.That(error.Sites.Single().Code, Is.EqualTo(ReturnCode.BadTaskData));
        Assert.That($"{error.Sites.Single()}", Does.Contain("do not have the hash"));
        Assert.That(trained, Is.Zero);
    }

    private static readonly TestCaseData[] Garbled =
    [
        new TestCaseData((LinkMessage m) => With(m.Head, [.. Enumerable.Repeat((byte)0xC1, (int)m.Bytes.Length)]))
            .SetArgDisplayNames("no MessagePack"),
        new TestCaseData((LinkMessage m) =>
            With(m.Head, [.. m.Bytes.ToArray().Take(8), .. new byte[m.Bytes.Length - 8]]))
            .SetArgDisplayNames("a beginning and nothing"),
        new TestCaseData((LinkMessage m) =>
        {
            var whole = m.Bytes.ToArray();
            BinaryPrimitives.WriteInt32LittleEndian(whole, int.MaxValue);
            return With(m.Head, whole);
        }).SetArgDisplayNames("lengths beyond its end"),
        new TestCaseData((LinkMessage m) => With(m.Head with { Length = 1L << 50 }, m.Bytes.ToArray()))
            .SetArgDisplayNames("longer than any"),
    ];

    private static LinkMessage With(FrameHead head, byte[] bytes) => new(head, new ReadOnlySequence<byte>(bytes));

    [TestCaseSource(nameof(Garbled))]
    public void A_model_that_cannot_be_read_ends_its_task_with_the_reason_and_trains_nobody(
        Func<LinkMessage, LinkMessage> garble)
    {
        var trained = 0;
        var wire = new Wire
        {
            Model = Model(),
            Garbles = garble,
            Executor = (_, _) => Sites.Answering(model =>
            {
                trained++;
                return Sites.Diff(model, 1);
            }),
        };
        var error = Assert.Throws<TooFewResponsesException>(
            () => wire.Run(new FedAvg { Rounds = 1, MinSites = 1, Validation = ValidationMode.None }, sites: 1))!;
        Assert.That(error.Sites.Single().Code, Is.EqualTo(ReturnCode.BadTaskData));
        Assert.That($"{error.Sites.Single()}", Does.Contain("cannot be read"));
        Assert.That(trained, Is.Zero);
    }

    private static StateDict Model() =>
        StateDict.Create(("w", Enumerable.Range(0, 8192).Select(i => (float)i).ToArray()));

    private sealed class Slow(TimeSpan time) : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await Task.Delay(time, context.Time, abort);
            return Sites.Diff(Dxo.From(input).Tensors, 1);
        }
    }

    private sealed class Hanging : Executor
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, context.Time, abort);
            return new();
        }
    }
}
