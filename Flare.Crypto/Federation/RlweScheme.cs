using System.Runtime.InteropServices;

namespace Flare.Crypto;

/// <summary>The exact additive scheme.</summary>
internal sealed class RlweScheme : SumScheme
{
    private readonly RlweParameters _parameters;

    public RlweScheme(EncryptionPolicy policy) : this(
        policy, RlweParameters.Choose(policy.MaxSites, policy.Format, policy.Security)) { }

    private RlweScheme(EncryptionPolicy policy, RlweParameters parameters) : base(policy, parameters.Id)
        => _parameters = parameters;

    public static new string? FaultOf(EncryptionPolicy policy)
        => RlweParameters.Find(policy.MaxSites, policy.Format, policy.Security) is null
        ? $"no parameters sum {policy.MaxSites} values of {policy.Bits} bits at {policy.Security}; "
            + $"lower {nameof(EncryptionPolicy.Bits)}, {nameof(
                EncryptionPolicy.MaxSites)} or {nameof(EncryptionPolicy.Security)}"
        : null;

    public override string Algorithm => "exact-rlwe";

    public override double Resolution => Math.ScaleB(1, -_parameters.Format.FractionBits);

    public override bool Holds(double value) => _parameters.Format.Holds(value);

    public override PartCipher CreateCipher(KeyRing keys)
        => new Cipher(_parameters, keys, Resolution, Policy.OutOfRange);

    public override PartSum CreateSum(AggregationRound round, KeyId key, int elements)
        => new Sum(new RlweAccumulator(_parameters, round, key, elements));

    public override PartHeader ReadHeader(ReadOnlySpan<byte> ciphertext)
    {
        var header = CiphertextHeader.Read(ciphertext, _parameters, out _);
        return new(header.Key, header.Round, header.Elements, [.. header.Summands.Select(s => s.Site)]);
    }

    private sealed class Cipher(
        RlweParameters parameters, KeyRing keys, double resolution, OutOfRange outOfRange) : PartCipher
    {
        private readonly RlweDecryptor _decryptor = new(parameters, keys);
        private readonly Dictionary<KeyId, RlweEncryptor> _encryptors = [];

        public override int UploadBytes(AggregationRound round, string member, int elements)
        {
            CiphertextHeader.CheckName(round.Job, "job");
            CiphertextHeader.CheckName(member, "site");
            var header =
                new CiphertextHeader
            {
                Parameters = parameters.Id,
                Key = default,
                Round = round,
                Elements = elements,
                Summands = [new(member, [])],
            };
            return checked((int)(header.Size + parameters.BodyBytes(elements, parameters.UploadBits)));
        }

        public override long Encrypt(
            SecretKey key,
            ReadOnlySpan<float> values,
            AggregationRound round,
            string member,
            Span<byte> upload,
            ChunkLoop loop) =>
            EncryptorOf(key).Encrypt(values, round, member, upload, outOfRange, loop).Clipped;

        public override void Decrypt(
            ReadOnlySpan<byte> sum, PartHeader header, AggregationRound round, Span<double> sums, ChunkLoop loop)
        {
            // The integers take the place of the doubles that they become; both have 8 bytes. A sum has at most 45
            // bits: all of it is exact.
            var integers = MemoryMarshal.Cast<double, long>(sums);
            _decryptor.Decrypt(sum, new ExpectedSum(round, header.Members.Count), integers, loop);
            for (var i = 0; i < sums.Length; i++) sums[i] = integers[i] * resolution;
        }

        public override void Dispose()
        {
            _decryptor.Dispose();
            lock (_encryptors)
                foreach (var encryptor in _encryptors.Values)
                    encryptor.Dispose();
        }

        private RlweEncryptor EncryptorOf(SecretKey key)
        {
            lock (_encryptors)
            {
                if (!_encryptors.TryGetValue(key.Id, out var encryptor))
                    _encryptors.Add(key.Id, encryptor = new RlweEncryptor(parameters, key));
                return encryptor;
            }
        }
    }

    private sealed class Sum(RlweAccumulator accumulator) : PartSum
    {
        public override int SumBytes => accumulator.SumBytes;

        public override void Check(ReadOnlySpan<byte> upload, ChunkLoop loop) => accumulator.Check(upload);

        public override void Add(ReadOnlySpan<byte> upload, ChunkLoop loop) => accumulator.Add(upload, loop);

        public override void Write(Span<byte> destination, ChunkLoop loop) => accumulator.Write(destination, loop);
    }
}
