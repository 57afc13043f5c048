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
        var wrapping = RlweFixture.Entropy(1, "wrapping");
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
        var (spoken, wrapped) =
            (KeyFile.Write(key, "right", FewIterations), KeyFile.Write(key, RlweFixture.Entropy(1, "w")));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => KeyFile.Read(spoken, "wrong"), Fails(CryptoFault.Altered));
            Assert.That(() => KeyFile.Read(wrapped, RlweFixture.Entropy(2, "w")), Fails(CryptoFault.Altered));
            Assert.That(
                () => KeyFile.Read(wrapped, "right"),
                Fails(CryptoFault.Malformed).With.Message.Contains("wrapping key"));
            Assert.That(
                () => KeyFile.Read(spoken, RlweFixture.Entropy(1, "w")),
                Fails(CryptoFault.Malformed).With.Message.Contains("passphrase"));
            Assert.That(() => KeyFile.Write(key, ""), Throws.ArgumentException);
            Assert.That(() => KeyFile.Write(key, new byte[31]), Throws.ArgumentException);
        }
    }

    [Test]
    public void Every_changed_bit_and_every_truncation_of_a_file_is_refused()
    {
        using var key = RlweFixture.Key(1);
        var wrapping = RlweFixture.Entropy(1, "wrapping");
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
        using var key = RlweFixture.Key(1);
        var file = KeyFile.Write(key, "p", FewIterations);
        BitConverter.TryWriteBytes(file.AsSpan(24), uint.MaxValue);
        Assert.That(() => KeyFile.Read(file, "p"), Fails(CryptoFault.Malformed).With.Message.Contains("rounds"));
    }

    [Test]
    public void Ids_and_derived_material_are_frozen()
    {
        using var key = RlweFixture.Key(1);
        Assert.That(key.Id.ToString(), Is.EqualTo("75bfb42546a5a2e3b9d8d31fff4b5a9f"));
    }

    [Test]
    public void A_disposed_key_holds_nothing()
    {
        var key = RlweFixture.Key(1);
        key.Dispose();
        Assert.That(() => key.Export(new byte[32]), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void A_ring_rotates_keys()
    {
        SecretKey old = RlweFixture.Key(1), next = RlweFixture.Key(2);
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

    [Test]
    public void A_key_that_was_given_up_does_not_come_back_however_the_ring_was_filled()
    {
        // What one writes who wants older models to open, too.
        using var ring = new KeyRing(RlweFixture.Key(2));
        ring.Add(RlweFixture.Key(1));
        var (one, two, three) = (RlweFixture.Key(1).Id, RlweFixture.Key(2).Id, RlweFixture.Key(3).Id);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ring.TryMoveTo(one), Is.False);
            Assert.That(ring.Current.Id, Is.EqualTo(two));
            Assert.That(ring.TryMoveTo(two), "the current one");
            Assert.That(ring.TryGet(one, out _), "it still opens");
            ring.AddNext(RlweFixture.Key(3));
            Assert.That(ring.TryMoveTo(three));
            Assert.That(ring.TryMoveTo(two), Is.False);
            Assert.That(ring.TryMoveTo(one), Is.False);
            Assert.That(ring.Current.Id, Is.EqualTo(three));
        }
    }

    [Test]
    public void Use_gives_up_the_key_before_it()
    {
        using var ring = new KeyRing(RlweFixture.Key(1));
        ring.Add(RlweFixture.Key(2));
        ring.Use(RlweFixture.Key(2).Id);
        Assert.That(ring.TryMoveTo(RlweFixture.Key(1).Id), Is.False);
        ring.AddNext(RlweFixture.Key(1)); // its owner may go back
        Assert.That(ring.TryMoveTo(RlweFixture.Key(1).Id));
    }

    [TestCase(0xD83D), TestCase(0x61, 0xDE00), TestCase(0xDE00, 0xD83D), TestCase(0xD83D, 0xD83D, 0xDE00)]
    public void Half_a_character_is_no_passphrase(params int[] characters)
    {
        var passphrase = string.Concat(characters.Select(c => (char)c)); // attributes hold no such text
        using var key = RlweFixture.Key(1);
        var file = KeyFile.Write(key, "right", FewIterations);
        Assert.That(
            () => KeyFile.Read(file, passphrase), Fails(CryptoFault.Altered).With.Message.Contains("surrogate"));
        Assert.That(() => KeyFile.Write(key, passphrase), Throws.ArgumentException.With.Message.Contains("surrogate"));
    }

    [Test]
    public void A_passphrase_may_be_of_any_script()
    {
        using var key = RlweFixture.Key(1);
        const string passphrase = "ключ 鍵 \ud83d\ude00";
        using var read = KeyFile.Read(KeyFile.Write(key, passphrase, FewIterations), passphrase);
        Assert.That(read.Id, Is.EqualTo(key.Id));
    }

    [Test]
    public void A_secret_of_zeros_is_refused() =>
        Assert.That(() => SecretKey.FromBytes(new byte[32]), Throws.ArgumentException.With.Message.Contains("zero"));

    [Test]
    public void A_key_that_is_disposed_of_while_it_is_used_gives_its_own_material_or_none()
    {
        using var whole = RlweFixture.Key(1);
        byte[] secret = Bytes(whole), expected = Derived(whole);
        var wrong = 0;
        for (var trial = 0; trial < 4000; trial++)
        {
            var key = SecretKey.FromBytes(secret);
            using var start = new Barrier(2);
            var disposing = Task.Run(() =>
            {
                start.SignalAndWait();
                key.Dispose();
            });
            start.SignalAndWait();
            try
            {
                for (var i = 0; i < 20; i++)
                    if (!Derived(key).AsSpan().SequenceEqual(expected) || !Bytes(key).AsSpan().SequenceEqual(secret))
                        wrong++;
            }
            catch (ObjectDisposedException)
            {
                // as it should be
            }
            disposing.Wait();
        }
        Assert.That(wrong, Is.Zero);

        static byte[] Derived(SecretKey key)
        {
            var bytes = new byte[64];
            key.Derive("label"u8, bytes);
            return bytes;
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
