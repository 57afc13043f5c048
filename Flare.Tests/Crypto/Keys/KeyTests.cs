using Flare.Crypto;

namespace Flare.Tests.Crypto;

public class KeyTests
{
    private const int FewIterations = 10; // tests need no resistance

    [Test]
    public void A_key_survives_its_file_under_a_passphrase()
    {
        using var key = SecretKey.Generate();
        var file = KeyFile.Write(key, "correct horse", FewIterations);
        using var read = KeyFile.Read(file, "correct horse");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file, Has.Length.EqualTo(KeyFile.Size));
            Assert.That(read.Id, Is.EqualTo(key.Id));
            Assert.That(Bytes(read), Is.EqualTo(Bytes(key)));
            Assert.That(file.AsSpan().IndexOf(Bytes(key)), Is.EqualTo(-1), "the secret is not in the file");
        }
    }

    [Test]
    public void A_key_survives_its_file_under_a_wrapping_key()
    {
        using var key = SecretKey.Generate();
        var wrapping = ExactFixture.Entropy(1, "wrapping");
        using var read = KeyFile.Read(KeyFile.Write(key, wrapping), wrapping);
        Assert.That(Bytes(read), Is.EqualTo(Bytes(key)));
    }

    [Test]
    public void A_new_file_takes_at_least_600_000_rounds()
    {
        using var key = SecretKey.Generate();
        Assert.That(BitConverter.ToInt32(KeyFile.Write(key, "slow"), 24), Is.GreaterThanOrEqualTo(600_000));
    }

    [Test]
    public void A_wrong_passphrase_or_wrapping_key_does_not_open_a_file()
    {
        using var key = SecretKey.Generate();
        var (spoken, wrapped) = (KeyFile.Write(key, "right", FewIterations), KeyFile.Write(key, ExactFixture.Entropy(1, "w")));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => KeyFile.Read(spoken, "wrong"), Fails(CryptoFault.Altered));
            Assert.That(() => KeyFile.Read(wrapped, ExactFixture.Entropy(2, "w")), Fails(CryptoFault.Altered));
            Assert.That(() => KeyFile.Read(wrapped, "right"), Fails(CryptoFault.Malformed).With.Message.Contains("wrapping key"));
            Assert.That(() => KeyFile.Read(spoken, ExactFixture.Entropy(1, "w")), Fails(CryptoFault.Malformed).With.Message.Contains("passphrase"));
            Assert.That(() => KeyFile.Write(key, ""), Throws.ArgumentException);
            Assert.That(() => KeyFile.Write(key, new byte[31]), Throws.ArgumentException);
        }
    }

    [Test]
    public void Every_changed_bit_and_every_truncation_of_a_file_is_refused()
    {
        using var key = ExactFixture.Key(1);
        var wrapping = ExactFixture.Entropy(1, "wrapping");
        var file = KeyFile.Write(key, wrapping);
        for (var bit = 0; bit < 8 * file.Length; bit++)
        {
            var mutant = file.ToArray();
            mutant[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.That(() => KeyFile.Read(mutant, wrapping), Throws.TypeOf<FlareCryptoException>(), $"bit {bit}");
        }

        for (var length = 0; length < file.Length; length++)
            Assert.That(() => KeyFile.Read(file.AsSpan(0, length), wrapping), Fails(CryptoFault.Malformed));
    }

    [Test]
    public void A_hostile_file_cannot_ask_for_endless_work()
    {
        using var key = ExactFixture.Key(1);
        var file = KeyFile.Write(key, "p", FewIterations);
        BitConverter.TryWriteBytes(file.AsSpan(24), uint.MaxValue);
        Assert.That(() => KeyFile.Read(file, "p"), Fails(CryptoFault.Malformed).With.Message.Contains("rounds"));
    }

    [Test]
    public void Ids_and_derived_material_are_frozen()
    {
        using var key = SecretKey.FromBytes(new byte[32]);
        Assert.That(key.Id.ToString(), Is.EqualTo("bab779ff40b583e9908601097db4f805"));
    }

    [Test]
    public void A_disposed_key_holds_nothing()
    {
        var key = ExactFixture.Key(1);
        key.Dispose();
        Assert.That(() => key.Export(new byte[32]), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void A_ring_rotates_keys()
    {
        SecretKey old = ExactFixture.Key(1), next = ExactFixture.Key(2);
        using var ring = new KeyRing(old);
        ring.Add(next);
        Assert.That(ring.Current, Is.SameAs(old));
        ring.Use(next.Id);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ring.Current, Is.SameAs(next));
            Assert.That(ring.TryGet(old.Id, out var found) ? found : null, Is.SameAs(old));
            Assert.That(ring.Ids, Is.EquivalentTo(new[] { old.Id, next.Id }));
            Assert.That(() => ring.Remove(next.Id), Throws.InvalidOperationException);
            Assert.That(ring.Remove(old.Id), Is.True);
            Assert.That(ring.Remove(old.Id), Is.False);
            Assert.That(() => old.Export(new byte[32]), Throws.TypeOf<ObjectDisposedException>(), "the ring owned it");
            Assert.That(() => ring.Use(old.Id), Throws.ArgumentException);
        }
    }



    internal static NUnit.Framework.Constraints.EqualConstraint Fails(CryptoFault fault)
        => Throws.TypeOf<FlareCryptoException>().With.Property(nameof(FlareCryptoException.Fault)).EqualTo(fault);

    private static byte[] Bytes(SecretKey key)
    {
        var bytes = new byte[SecretKey.Size];
        key.Export(bytes);
        return bytes;
    }
}
