using Flare.Crypto;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

public class RotationTests
{
    [Test]
    public async Task A_federation_moves_to_a_new_key_between_rounds()
    {
        using var encryption = new HomomorphicEncryption(EncryptedSites.Policy);
        var before = encryption.Keys.Current.Id;
        var next = SecretKey.Generate();
        var gate = new Gate(round: 2, () => encryption.Rotate(next));
        await using var federation = Federation.InProcess(f => f
            .AddSites(3, site => EncryptedSites.Trainer(site.Index))
            .UseController(new FedAvg { Rounds = 3, MinSites = 3 })
            .AddServerComponent(gate)
            .UseHomomorphicEncryption(encryption));
        var models = new List<StateDict>();
        gate.OnModel = models.Add;
        var rounds = await federation.RunToEndAsync(EncryptedSites.Model());

        Assert.That(rounds.Select(r => r.Accepted), Is.EqualTo(new[] { 3, 3, 3 }));
        Assert.That(encryption.Keys.Current.Id, Is.EqualTo(next.Id));
        Assert.That(encryption.Decrypt(models[0])["body.weight"].Spec.Length, Is.EqualTo(5000));
        var format = new Quantization(22, 19);
        var expected = EncryptedSites.Model();
        foreach (var (round, reference) in new[] { (1, 4096), (2, 64), (3, 64) })
            expected = EncryptedSites.Reference(expected, round, 3, reference, DataKind.Weights, format);
        Assert.That(encryption.Decrypt(federation.Model).ContentEquals(expected));

        // The last sum is under the new key alone.
        using var onlyNew = new KeyRing(Copy(next));
        Assert.That(
            new HomomorphicEncryption(EncryptedSites.Policy, onlyNew).Decrypt(federation.Model)
            .ContentEquals(expected));
        Assert.That(
            () => new HomomorphicEncryption(EncryptedSites.Policy, onlyNew).Decrypt(models[0]),
            Throws.TypeOf<FlareCryptoException>().With.Message.Contains($"{before}"));
    }

    [Test]
    public async Task A_model_under_a_missing_key_opens_once_the_key_is_there()
    {
        var run = await new TappedFederation { Rounds = 1 }.RunAsync();
        using var ring = EncryptedSites.Ring(2);
        using var encryption = new HomomorphicEncryption(EncryptedSites.Policy, ring);
        Assert.That(
            () => encryption.Decrypt(run.Model),
            KeyTests.Fails(CryptoFault.WrongKey).With.Message.Contains($"{RlweFixture.Key(1).Id}").And.Message.Contains(
                "add it from the KeyFile"));
        ring.Add(RlweFixture.Key(1));
        using var opened = encryption.Decrypt(run.Model);
        Assert.That(opened.ContentEquals(run.Decrypt()));
    }

    [Test]
    public async Task A_model_that_one_failure_kept_closed_opens_afterwards()
    {
        var run = await new TappedFederation { Rounds = 1 }.RunAsync();
        using var ring = EncryptedSites.Ring(1);
        using var cipher = new ModelCipher(SumScheme.For(EncryptedSites.Policy), ring);
        var failures = new Queue<Exception>(
            [new InsufficientMemoryException(), new OperationCanceledException(), new InvalidOperationException()]);
        while (failures.TryPeek(out var failure))
        {
            Assert.That(
                () => cipher.Open(run.Model, TimeProvider.System, (_, _) => throw failures.Dequeue()),
                Throws.Exception.SameAs(failure));
        }
        var opened = cipher.Open(run.Model, TimeProvider.System, RlweEncryptor.Sequential).Model;
        Assert.That(opened.ContentEquals(run.Decrypt()));
    }

    [Test]
    public void A_ring_follows_forward_only()
    {
        using var ring = EncryptedSites.Ring(1);
        ring.AddNext(RlweFixture.Key(2));
        ring.AddNext(RlweFixture.Key(3));
        var (one, two, three) = (RlweFixture.Key(1).Id, RlweFixture.Key(2).Id, RlweFixture.Key(3).Id);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ring.TryMoveTo(one), "it is the current one");
            Assert.That(ring.TryMoveTo(two));
            Assert.That(ring.Current.Id, Is.EqualTo(two));
            Assert.That(ring.TryMoveTo(one), Is.False);
            Assert.That(ring.TryMoveTo(RlweFixture.Key(4).Id), Is.False, "it is not there");
            Assert.That(ring.Current.Id, Is.EqualTo(two));
            ring.Use(one); // its owner may go back
            Assert.That(ring.TryMoveTo(three));
            ring.Remove(one);
            Assert.That(ring.TryMoveTo(two), Is.False, "it was passed over");
        }
    }

    [Test]
    public void A_key_id_reads_what_it_writes()
    {
        var id = RlweFixture.Key(1).Id;
        Assert.That(KeyId.Parse(id.ToString()), Is.EqualTo(id));
        foreach (var bad in new[] { "", "12", $"{id}0", $"-{id}"[..32], $"{id}"[..31] + "g", " " + $"{id}"[..31] })
            Assert.That(() => KeyId.Parse(bad), Throws.TypeOf<FormatException>(), bad);
    }

    private static SecretKey Copy(SecretKey key)
    {
        Span<byte> bytes = stackalloc byte[SecretKey.Size];
        key.Export(bytes);
        return SecretKey.FromBytes(bytes);
    }

    private sealed class Gate(int round, Action act) : FLComponent
    {
        public Action<StateDict> OnModel { get; set; } = _ => { };

        protected internal override void HandleEvent(string eventType, FLContext context)
        {
            if (eventType == EventTypes.RoundStarted && context.Get(ContextKeys.CurrentRound) == round) act();
            if (eventType == EventTypes.AfterLearnablePersist) OnModel(context.Get(ContextKeys.GlobalModel));
        }
    }
}
