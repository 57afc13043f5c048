namespace Flare.Tests.Federations;

/// <summary>A journal that an earlier version wrote (commit 5bd8768, stopped after round 3 of 5) goes on to the model
/// of an undisturbed run.</summary>
public class OldJournalTests
{
    // What that version's own five rounds ended with.
    private const string ModelSha256 = "afa7e13ae3f8ec1db3dd003f944b86cc80b5f020583be1403b283243e2b8344d";

    [Test]
    public async Task A_journal_of_an_earlier_version_resumes()
    {
        var folder = Directory.CreateTempSubdirectory("flare-old-").FullName;
        try
        {
            foreach (var name in new[] { "journal.flare", "model-000002.safetensors", "model-000003.safetensors" })
            {
                await using var source = typeof(OldJournalTests).Assembly.GetManifestResourceStream("OldJournal/" +
                    name)!;
                await using var file = File.Create(Path.Combine(folder, name));
                await source.CopyToAsync(file);
            }
            Assert.That((await JournalInfo.ReadAsync(folder))!.LastReport!.ToString(),
                Does.StartWith("round 3: 3 of 3 sites").And.EndsWith("accuracy 0.1"));
            var trained = new List<int>();
            await using var federation = Federation.InProcess(f => f
                .AddSites(3, _ => new Seeded())
                .UseController(new Flare.Workflows.FedAvg { Rounds = 5, MinSites = 3 })
                .UseSeed(42).UseJobId("old").UseJournal(folder)
                .AddServerComponent(new LambdaComponent((type, context) =>
                {
                    if (type == EventTypes.RoundStarted) trained.Add(context.Get(ContextKeys.CurrentRound));
                })));
            var rounds = await federation.RunToEndAsync(StateDict.Create(("w", [0.5f, -1f, 2f]), ("b", [0.25f])));
            Assert.That(rounds.Select(r => r.Number), Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
            Assert.That(trained, Is.EqualTo(new[] { 4, 5 }));
            Assert.That(federation.Model.Sha256(), Is.EqualTo(ModelSha256));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The same as in the program that wrote the journal.</summary>
    private sealed class Seeded : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort)
        {
            var random = new Random(unchecked((int)context.Seed("train")));
            var diff = new StateDict(model.Tensors.Layout);
            foreach (var tensor in diff)
                foreach (ref var x in tensor.AsSpan<float>()) x = (float)(random.NextDouble() - 0.5);
            return ValueTask.FromResult(Dxo.WeightDiff(diff).WithMeta(MetaKey.NumStepsCurrentRound,
                random.Next(1, 50)));
        }

        protected override ValueTask<Dxo> ValidateAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Dxo.Metrics(("accuracy", context.Round == 2 ? 0.9 : 0.1)));
    }
}
