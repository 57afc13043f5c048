using System.Runtime.InteropServices;

namespace Flare.Crypto;

/// <summary>The exact additive scheme.</summary>
internal sealed class ExactScheme : SumScheme
{
    private readonly ExactParameters _parameters;

    public ExactScheme(EncryptionPolicy policy) : this(policy, Choose(policy)) { }

    private ExactScheme(EncryptionPolicy policy, ExactParameters parameters) : base(policy, parameters.Id) => _parameters = parameters;

    private static ExactParameters Choose(EncryptionPolicy policy)
    {
        try
        {
            return ExactParameters.Choose(policy.MaxSites, policy.Format, policy.Security);
        }
        catch (ArgumentException e)
        {
            throw new ArgumentException($"The encryption policy is refused: {e.Message}", nameof(policy), e);
        }
    }

    public override string Algorithm => "exact-rlwe";

    public override double Resolution => Math.ScaleB(1, -_parameters.Format.FractionBits);

    public override PartCipher CreateCipher(KeyRing keys) => new Cipher(_parameters, keys, Resolution);

    public override PartSum CreateSum(AggregationRound round, KeyId key, int elements) => new Sum(new ExactAccumulator(_parameters, round, key, elements));

    public override PartHeader ReadHeader(ReadOnlySpan<byte> ciphertext)
    {
        var header = CiphertextHeader.Read(ciphertext, _parameters, out _);
        return new(header.Key, header.Round, header.Elements, [.. header.Summands.Select(s => s.Site)]);
    }

    private sealed class Cipher(ExactParameters parameters, KeyRing keys, double resolution) : PartCipher
    {
        private readonly ExactDecryptor _decryptor = new(parameters, keys);
        private readonly Dictionary<KeyId, ExactEncryptor> _encryptors = [];

        public override int UploadBytes(AggregationRound round, string member, int elements)
        {
            CiphertextHeader.CheckName(round.Job, "job");
            CiphertextHeader.CheckName(member, "site");
            var header = new CiphertextHeader { Parameters = parameters.Id, Key = default, Round = round, Elements = elements, Summands = [new(member, [])] };
            return checked((int)(header.Size + parameters.BodyBytes(elements, parameters.UploadBits)));
        }

        public override long Encrypt(SecretKey key, ReadOnlySpan<float> values, AggregationRound round, string member, Span<byte> upload, ChunkLoop loop) =>
            EncryptorOf(key).Encrypt(values, round, member, upload, OutOfRange.Clip, loop).Clipped;

        public override void Decrypt(ReadOnlySpan<byte> sum, PartHeader header, AggregationRound round, Span<double> sums, ChunkLoop loop)
        {
            // The integers take the place of the doubles that they become; both have 8 bytes. A sum has at most 45 bits: all of it is exact.
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

        private ExactEncryptor EncryptorOf(SecretKey key)
        {
            lock (_encryptors)
            {
                if (!_encryptors.TryGetValue(key.Id, out var encryptor))
                    _encryptors.Add(key.Id, encryptor = new ExactEncryptor(parameters, key));
                return encryptor;
            }
        }
    }

    private sealed class Sum(ExactAccumulator accumulator) : PartSum
    {
        public override int SumBytes => accumulator.SumBytes;

        public override void Check(ReadOnlySpan<byte> upload, ChunkLoop loop) => accumulator.Check(upload);

        public override void Add(ReadOnlySpan<byte> upload, ChunkLoop loop) => accumulator.Add(upload, loop);

        public override void Write(Span<byte> destination, ChunkLoop loop) => accumulator.Write(destination, loop);
    }
}
