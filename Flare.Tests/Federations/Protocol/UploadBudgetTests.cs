using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>Results wait at their sites while the server has as many bytes of others as it takes.</summary>
public class UploadBudgetTests
{
    private static readonly string[] Names = ["a", "b", "c", "d"];

    private static ServerBench Bench(long budget) => new(
        async (federation, abort) =>
        {
            await foreach (var _ in federation.BroadcastAsync(
                new FlareTask("ask", 1, new Shareable()), new() { MinResponses = 1 }, abort)) { }
        }, new RuntimeLimits { UploadBudgetBytes = budget }, Names);

    private static async Task<Dictionary<string, TaskOffer>> JoinAllAsync(ServerBench bench)
    {
        var offers = new Dictionary<string, TaskOffer>();
        foreach (var name in Names) offers[name] = await bench.JoinAsync(name);
        return offers;
    }

    private static Task ReadyAsync(ServerBench bench, string site, TaskOffer offer, long bytes) =>
        bench.SayAsync(new(site, 1, 1, new ResultReady(offer.Token, bytes)));

    private static string[] Permitted(ServerBench bench) =>
        [.. Names.Where(n => bench.Unread(n).Any(m => m is UploadPermit))];

    [Test]
    public async Task As_many_bytes_are_permitted_as_the_budget_has_and_the_rest_in_turn()
    {
        await using var bench = Bench(100_000_000);
        var offers = await JoinAllAsync(bench);
        foreach (var name in Names) await ReadyAsync(bench, name, offers[name], 40_000_000);
        await bench.SettleAsync();
        Assert.That(Permitted(bench), Is.EqualTo(new[] { "a", "b" }));
        await bench.SayAsync(new("a", 1, 1, new TaskStopped(offers["a"].Token)));
        await bench.SettleAsync();
        Assert.That(Permitted(bench), Is.EqualTo(new[] { "c" }));
    }

    [Test]
    public async Task A_result_above_the_budget_comes_alone_and_does_not_wait_for_ever()
    {
        await using var bench = Bench(100);
        var offers = await JoinAllAsync(bench);
        await ReadyAsync(bench, "a", offers["a"], 40_000_000);
        await ReadyAsync(bench, "b", offers["b"], 90);
        await bench.SettleAsync();
        Assert.That(Permitted(bench), Is.EqualTo(new[] { "a" }));
        await bench.SayAsync(new("a", 1, 1, new TaskStopped(offers["a"].Token)));
        await bench.SettleAsync();
        Assert.That(Permitted(bench), Is.EqualTo(new[] { "b" }));
    }

    [Test]
    public async Task A_small_result_passes_those_that_wait()
    {
        await using var bench = Bench(100);
        var offers = await JoinAllAsync(bench);
        await ReadyAsync(bench, "a", offers["a"], 40_000_000);
        await ReadyAsync(bench, "b", offers["b"], 40_000_000);
        await bench.SayAsync(ServerBench.Answer("c", offers["c"], 1));
        Assert.That((await bench.NextAsync<ResultReceipt>("c")).Refusal, Is.Null);
    }

    [Test]
    public async Task A_result_that_asks_for_more_than_any_may_have_is_refused_before_a_byte_of_it_is_sent()
    {
        await using var bench = Bench(100);
        var offers = await JoinAllAsync(bench);
        await ReadyAsync(bench, "a", offers["a"], new RuntimeLimits().MaxMessageBytes + 1);
        Assert.That(
            (await bench.NextAsync<ResultReceipt>("a")).Refusal, Does.Contain(nameof(RuntimeLimits.MaxMessageBytes)));
    }

    [Test]
    public async Task A_permit_is_for_the_bytes_that_were_asked_for()
    {
        await using var bench = Bench(100);
        var offers = await JoinAllAsync(bench);
        await ReadyAsync(bench, "a", offers["a"], 40_000_000);
        var permit = await bench.NextAsync<UploadPermit>("a");
        Assert.That(new LinkMessage(1, 1, permit).PermittedBytes, Is.EqualTo(40_000_000));
    }

    [TestCase(nameof(RuntimeLimits.UploadBudgetBytes))]
    [TestCase(nameof(RuntimeLimits.DownloadBudgetBytes))]
    public void A_budget_of_nothing_is_refused(string name)
    {
        var limits = name == nameof(RuntimeLimits.UploadBudgetBytes)
            ? new RuntimeLimits { UploadBudgetBytes = 0 } : new RuntimeLimits { DownloadBudgetBytes = 0 };
        Assert.That(limits.Validate().Single(), Does.Contain(name));
    }
}
