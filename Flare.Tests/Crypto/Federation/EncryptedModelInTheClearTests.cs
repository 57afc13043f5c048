using Flare.Crypto;
using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

/// <summary>A workflow that reads values refuses a model that holds ciphertext, before anybody trains.</summary>
public class EncryptedModelInTheClearTests
{
    [Test]
    public async Task Going_on_from_an_encrypted_model_without_encryption_is_refused([Values]
    bool throughAFile, [Values] bool partly)
    {
        using var encryption = new HomomorphicEncryption(
            EncryptedSites.Policy with { Tensors = partly ? "body" : null });
        var model = await EncryptedAsync(encryption);
        if (throughAFile)
        {
            var file = Path.GetTempFileName();
            model.Save(file);
            model = StateDict.Load(file);
            File.Delete(file);
        }
        Controller[] workflows =
        [
            new FedAvg { Rounds = 2, MinSites = 2, Validation = ValidationMode.None }, new FedAvg(),
            new FedAvg { Aggregator = new ExactAggregator() }, new Measuring(),
        ];
        foreach (var workflow in workflows)
        {
            var trained = 0;
            await using var plain = Federation.InProcess(f => f
                .AddSites(2, site => new Scripted((task, input, context, abort) =>
                {
                    Interlocked.Increment(ref trained);
                    return ValueTask.FromResult(
                        Dxo.Weights(Dxo.From(input).Tensors.Clone()).WithMeta(MetaKey.NumStepsCurrentRound, 1)
                        .ToShareable());
                }))
                .UseController(workflow));
            var error = Assert.ThrowsAsync<FlareException>(() => plain.RunToEndAsync(model))!;
            using (Assert.EnterMultipleScope())
            {
                Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.PlaintextNeeded));
                Assert.That(
                    error.Message,
                    Does.Contain(workflow.Name).And.Contain("ciphertext").And.Contain("Decrypt").And.Contain(
                        "UseHomomorphicEncryption"));
                Assert.That(trained, Is.Zero);
                Assert.That(plain.Rounds, Is.Empty);
            }
        }
        Assert.That(
            encryption.Decrypt(model).Layout, Is.EqualTo(EncryptedSites.Model().Layout), "it can be opened as before");
    }

    [Test]
    public async Task An_opened_model_goes_on_in_the_clear()
    {
        using var encryption = new HomomorphicEncryption(EncryptedSites.Policy);
        var opened = encryption.Decrypt(await EncryptedAsync(encryption));
        await using var plain = Federation.InProcess(f => f
            .AddSites(2, site => EncryptedSites.Trainer(site.Index, DataKind.WeightDiff))
            .UseController(new FedAvg { Rounds = 1, MinSites = 2 }));
        Assert.That((await plain.RunToEndAsync(opened))[0].Accepted, Is.EqualTo(2));
    }

    private static async Task<StateDict> EncryptedAsync(HomomorphicEncryption encryption)
    {
        await using var federation = Federation.InProcess(f => f
            .AddSites(2, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg { Rounds = 1, MinSites = 2, Validation = ValidationMode.None })
            .UseHomomorphicEncryption(encryption));
        await federation.RunToEndAsync(EncryptedSites.Model());
        return federation.Model;
    }

    /// <summary>A workflow of a user's own that reads what the sites send.</summary>
    private sealed class Measuring : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            await foreach (var answer in federation.BroadcastAsync(
                new FlareTask(TaskNames.Train, 1, Dxo.Weights(federation.Model).ToShareable()), abort: abort))
                await federation.CommitAsync(1, answer.ToWeights(), abort);
        }
    }
}
