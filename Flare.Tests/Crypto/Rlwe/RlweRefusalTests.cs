using Flare.Crypto;
using static Flare.Tests.Crypto.KeyTests;

namespace Flare.Tests.Crypto;

/// <summary>What the server and the sites refuse, and that nothing but one exception surfaces.</summary>
public class RlweRefusalTests
{
    private const int Elements = 40;
    private static readonly RlweParameters Parameters = RlweParameters.Choose(8, Quantization.ForRange(4, 22));

    private RlweFixture _federation = null!;

    [SetUp]
    public void SetUp() => _federation = new RlweFixture(Parameters);

    [TearDown]
    public void TearDown() => _federation.Dispose();

    [Test]
    public void Values_that_are_no_numbers_are_never_encrypted([Values] OutOfRange policy)
    {
        var values = new float[20_000];
        values[15_000] = float.NaN;
        var destination = new byte[_federation.Encryptor.UploadBytes(RlweFixture.Round, "a", values.Length)];
        Assert.That(() => _federation.Encryptor.Encrypt(values, RlweFixture.Round, "a", destination, policy),
            Fails(CryptoFault.ValueOutOfRange).With.Message.Contains("15000"));
    }

    [Test]
    public void Values_out_of_range_are_refused_unless_they_are_to_be_clipped_and_counted()
    {
        float[] values = [9, -9, 3];
        var destination = new byte[_federation.Encryptor.UploadBytes(RlweFixture.Round, "site-1", 3)];
        var encryptor = _federation.Encryptor;
        Assert.That(
            () => encryptor.Encrypt(values, RlweFixture.Round, "site-1", destination),
            Fails(CryptoFault.ValueOutOfRange));
        Assert.That(
            encryptor.Encrypt(values, RlweFixture.Round, "site-1", destination, OutOfRange.Clip).Clipped,
            Is.EqualTo(2));
        var largest = Parameters.Format.Largest;
        Assert.That(
            _federation.Decrypt(_federation.Sum(3, destination), 3, 1),
            Is.EqualTo(new[] { largest, -largest, 3L << Parameters.Format.FractionBits }));
    }

    [Test]
    public void The_server_refuses_more_uploads_than_the_bound()
    {
        var accumulator = _federation.Accumulator(Elements);
        for (var site = 0; site < 8; site++)
            accumulator.Add(Upload(site));
        var before = RlweFixture.Written(accumulator);
        Assert.That(() => accumulator.Add(Upload(8)), Fails(CryptoFault.TooManySummands));
        Assert.That(RlweFixture.Written(accumulator), Is.EqualTo(before), "a refused upload leaves the sum as it was");
    }

    [Test]
    public void The_server_refuses_a_site_or_a_seed_twice()
    {
        var accumulator = _federation.Accumulator(Elements);
        var upload = Upload(1);
        accumulator.Add(upload);
        Assert.That(() => accumulator.Add(upload), Fails(CryptoFault.Repeated).With.Message.Contains("site-1"));

        // The same seed under another name: the name's length stays, so one byte of it can be changed in place.
        var renamed = upload.ToArray();
        renamed[renamed.AsSpan().IndexOf("site-1"u8) + 5] = (byte)'2';
        Assert.That(() => accumulator.Add(renamed), Fails(CryptoFault.Repeated).With.Message.Contains("seed"));

        var partial = _federation.Sum(Elements, Upload(0), Upload(1));
        Assert.That(() => accumulator.Add(partial), Fails(CryptoFault.Repeated).With.Message.Contains("site-1"));
    }

    [Test]
    public void The_server_refuses_what_is_of_another_round_length_key_or_set()
    {
        var accumulator = _federation.Accumulator(Elements);
        using var stranger = new RlweFixture(Parameters, keySeed: 2);
        using var other = new RlweFixture(RlweParameters.Choose(9, Parameters.Format));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                () => accumulator.Add(_federation.Upload(new float[Elements], 1, new("digits", 4))),
                Fails(CryptoFault.WrongRound));
            Assert.That(
                () => accumulator.Add(_federation.Upload(new float[Elements], 1, new("other", 3))),
                Fails(CryptoFault.WrongRound));
            Assert.That(
                () => accumulator.Add(_federation.Upload(new float[Elements + 1], 1)), Fails(CryptoFault.WrongRound));
            Assert.That(() => accumulator.Add(stranger.Upload(new float[Elements], 1)), Fails(CryptoFault.WrongKey));
            Assert.That(
                () => accumulator.Add(other.Upload(new float[Elements], 1)), Fails(CryptoFault.WrongParameters));
            Assert.That(() => accumulator.SumBytes, Throws.InvalidOperationException);
        }
    }

    [Test]
    public void A_site_refuses_a_sum_that_is_not_the_announced_one()
    {
        var sum = _federation.Sum(Elements, Upload(1), Upload(2));
        using var stranger = new RlweFixture(Parameters, keySeed: 2);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => Open(sum, new(RlweFixture.Round, 3)), Fails(CryptoFault.WrongSites));
            Assert.That(
                () => Open(sum, new(RlweFixture.Round, 2) { Sites = ["site-1", "site-3"] }),
                Fails(CryptoFault.WrongSites));
            Assert.That(() => Open(sum, new(new("digits", 4), 2)), Fails(CryptoFault.WrongRound));
            Assert.That(() => _federation.Decrypt(sum, Elements - 1, 2), Fails(CryptoFault.WrongRound));
            Assert.That(() => stranger.Decrypt(sum, Elements, 2), Fails(CryptoFault.WrongKey));
            Assert.That(
                Open(sum, new(RlweFixture.Round, 2) { Sites = ["site-2", "site-1"] }).Sites,
                Is.EqualTo(new[] { "site-1", "site-2" }));
        }
    }

    [Test]
    public void A_site_notices_every_change_to_a_sum()
    {
        var values = RlweFixture.Values(Elements, 3, 1);
        var sum = _federation.Sum(Elements, _federation.Upload(values, 1), _federation.Upload(values, 2));
        var sums = new long[Elements];
        for (var bit = 0; bit < 8 * sum.Length; bit++)
        {
            var mutant = sum.ToArray();
            mutant[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.That(
                () => _federation.Decryptor.Decrypt(mutant, new(RlweFixture.Round, 2), sums),
                Throws.TypeOf<FlareCryptoException>(), $"bit {bit}");
            Assert.That(sums, Is.All.Zero);
            bit += 12; // thirteen bits on: every position within a byte, over the whole sum
        }
    }

    [Test]
    public void A_server_that_adds_an_upload_twice_under_another_name_is_caught()
    {
        // It renames a copy and gives it another seed, so that it passes as a second site's.
        var upload = Upload(1);
        var forged = upload.ToArray();
        var name = forged.AsSpan().IndexOf("site-1"u8);
        forged[name + 5] = (byte)'2';
        forged[name + 6] ^= 1;
        var sum = _federation.Sum(Elements, upload, forged);
        Assert.That(() => _federation.Decrypt(sum, Elements, 2), Fails(CryptoFault.Altered));
    }

    [Test]
    public void Truncated_and_mutated_bytes_raise_nothing_but_the_one_exception()
    {
        var random = new Random(7);
        var valid = new[] { Upload(1), _federation.Sum(Elements, Upload(1), Upload(2), Upload(3)) };
        var refused = 0;
        for (var trial = 0; trial < 2000; trial++)
        {
            var mutant = valid[trial % 2].ToArray();
            switch (random.Next(4))
            {
                case 0:
                    mutant = mutant[..random.Next(mutant.Length)];
                    break;
                case 1:
                    mutant = [.. mutant, .. new byte[1 + random.Next(40)]];
                    break;
                case 2:
                    for (var i = random.Next(1, 5); i > 0; i--)
                        mutant[random.Next(140)] = (byte)random.Next(256); // the header
                    break;
                default:
                    random.NextBytes(mutant.AsSpan(random.Next(mutant.Length)));
                    break;
            }

            refused += Refuses(() => _federation.Accumulator(Elements).Add(mutant)) ? 1 : 0;
            Assert.That(
                Refuses(() => _federation.Decrypt(mutant, Elements, trial % 2 == 0 ? 1 : 3))
                || mutant.AsSpan().SequenceEqual(valid[trial % 2]), Is.True);
        }

        Assert.That(refused, Is.GreaterThan(1000));
    }

    [Test]
    public void Names_and_room_that_do_not_do_are_refused()
    {
        var room = new byte[10_000];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                () => _federation.Encryptor.Encrypt([1], RlweFixture.Round, "", room), Throws.ArgumentException);
            Assert.That(
                () => _federation.Encryptor.Encrypt([1], RlweFixture.Round, new string('x', 256), room),
                Throws.ArgumentException);
            Assert.That(() => _federation.Encryptor.Encrypt([1], new("", 1), "a", room), Throws.ArgumentException);
            Assert.That(
                () => _federation.Encryptor.Encrypt([1], RlweFixture.Round, "a", room.AsSpan(0, 50)),
                Throws.ArgumentException);
        }
    }

    [Test]
    public void Sums_under_the_old_and_the_new_key_open_during_a_rotation()
    {
        var before = _federation.Sum(Elements, Upload(1));
        using var next = new RlweFixture(Parameters, keySeed: 2);
        var after = next.Sum(Elements, next.Upload(new float[Elements], 1));
        _federation.Ring.Add(RlweFixture.Key(2));
        _federation.Ring.Use(next.Encryptor.Key);
        Assert.That(_federation.Decrypt(before, Elements, 1), Is.EqualTo(_federation.Decrypt(after, Elements, 1)));
        _federation.Ring.Remove(_federation.Encryptor.Key);
        Assert.That(() => _federation.Decrypt(before, Elements, 1), Fails(CryptoFault.WrongKey));
    }

    [Test]
    public void The_format_is_frozen()
    {
        var upload = _federation.Upload(RlweFixture.Values(Elements, 3, 1), 1);
        var sum = _federation.Sum(Elements, upload, _federation.Upload(RlweFixture.Values(Elements, 3, 2), 2));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Digest(upload), Is.EqualTo("dcb05f6d5afb3d69"));
            Assert.That(Digest(sum), Is.EqualTo("3088a35f776a2394"));
        }
    }

    private static string Digest(byte[] bytes)
        => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes))[..16];

    private static bool Refuses(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (FlareCryptoException)
        {
            return true;
        }
    }

    private byte[] Upload(int site) => _federation.Upload(new float[Elements], site);

    private SumReport Open(byte[] sum, ExpectedSum expected) =>
        _federation.Decryptor.Decrypt(sum, expected, new long[Elements]);
}
