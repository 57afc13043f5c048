using Flare.Crypto;
using Flare.Tests.Crypto;
using Flare.Tests.Federations;
using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Workflows;

/// <summary>A round that is trained once more is as if it were trained once.</summary>
public class RepeatedRoundTests
{
    [Test]
    public async Task Sites_train_it_on_the_state_of_before_it_and_the_report_is_of_the_last_time()
    {
        var found = new List<string>();
        using var records = new LogRecorder();
        var run = await Sites.RunAsync(
            new FedAvg { Rounds = 3, Validation = ValidationMode.None, Aggregator = new Demanding() }, Sites.Model(0),
            f => f.UseLogging(records).UseParallelism(1), Counting(0), Counting(1));
        Assert.That(found.Order(StringComparer.Ordinal), Is.EqualTo(new[]
        {
            "1: 0 at 0", "1: 0 at 1", "2: 1 at 0", "2: 1 at 0", "2: 1 at 1", "2: 1 at 1", "3: 2 at 0", "3: 2 at 1",
        }));
        Assert.That(run.Rounds.Select(r => r.ToString()), Is.All.Contain("2 of 2 sites"));
        Assert.That(run.Rounds.Select(r => r.Sites.Count), Is.All.EqualTo(2));
        Assert.That(run.Rounds[1].Warnings, Has.Exactly(1).Contains("take more steps"));
        Assert.That(run.Rounds[0].Warnings.Concat(run.Rounds[2].Warnings), Is.Empty);
        var told = records.Entries.Where(r => r.Message.Contains("take more steps")).ToArray();
        Assert.That(told.Select(r => r.Level), Is.EqualTo(new[] { LogLevel.Information }));

        Executor Counting(int site) => new Scripted((_, input, context, _) =>
        {
            var count = context.SiteState.Values.TryGet("count", out var value) ? value.AsInteger() : 0;
            lock (found) found.Add($"{context.Round}: {count} at {site}");
            context.SiteState.Values["count"] = count + 1;
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
    }

    [Test]
    public async Task An_encrypted_model_is_no_model_of_integers_to_warn_about()
    {
        var directory = Directory.CreateTempSubdirectory().FullName;
        using var ring = EncryptedSites.Ring(1);
        using var records = new LogRecorder();
        await Run(1);
        var rounds = await Run(2);
        Assert.That(rounds, Has.Count.EqualTo(2));
        Assert.That(rounds.SelectMany(r => r.Warnings).Concat(records.Entries.Select(r => r.Message)),
            Has.None.Contains("mean of integers"));

        async Task<IReadOnlyList<RoundReport>> Run(int rounds)
        {
            using var encryption = new HomomorphicEncryption(EncryptedSites.Policy, ring);
            await using var federation = Federation.InProcess(f => f
                .AddSites(3, site => EncryptedSites.Trainer(site.Index)).UseJournal(directory).UseLogging(records)
                .UseController(new Stopping(rounds)).UseHomomorphicEncryption(encryption));
            try
            {
                return await federation.RunToEndAsync(EncryptedSites.Model());
            }
            catch (FlareException)
            {
                return federation.Rounds;
            }
        }
    }

    private sealed class Stopping : ScatterAndGather
    {
        public Stopping(int rounds)
        {
            (Rounds, Validation) = (2, ValidationMode.None);
            if (rounds == 1)
                StopWhen = _ => throw new InvalidOperationException("the server dies");
        }
    }

    /// <summary>Has the second round trained twice.</summary>
    private sealed class Demanding : Aggregator
    {
        private readonly ExactAggregator _inner = new();
        private int _gatherings;
        private int _round;

        public override bool NeedsSingleUpdates => false;
        public override bool MustRepeat => _round == 2 && _gatherings == 2;
        public override string? RepeatReason => MustRepeat ? "take more steps" : null;

        public override void Begin(ControllerContext federation, int round)
        {
            (_round, _gatherings) = (round, _gatherings + 1);
            _inner.Begin(federation, round);
        }

        public override ValueTask AcceptAsync(Contribution contribution, CancellationToken abort) =>
            _inner.AcceptAsync(contribution, abort);

        public override ValueTask<StateDict> CompleteAsync(CancellationToken abort) => _inner.CompleteAsync(abort);
    }
}
