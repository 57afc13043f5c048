using System.Buffers;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>CKKS with NVIDIA FLARE's parameters. Its keys are derived from the ring's.</summary>
internal sealed class CkksScheme : SumScheme
{
    private const double Scale = 1L << 40;

    private static readonly CkksParameters Parameters = CkksParameters.NvFlare;
    private static readonly string ParametersId = Parameters.KeyLevel.Id.ToString();
    private static readonly int SeededBytes = FileBytes(
        new SealSeed(SealGeneratorKind.Blake2xb, new byte[SealGenerator.SeedSize]));
    private static readonly int WholeBytes = FileBytes(null);

    private const int ModulusBits = 140;

    public CkksScheme(EncryptionPolicy policy) : base(policy, ParametersId) { }

    public static new string? FaultOf(EncryptionPolicy policy)
        => ModulusBits > policy.Security.MaxModulusBits(Parameters.Degree)
        ? $"CKKS with NVIDIA FLARE's parameters does not reach {policy.Security}; use the exact scheme"
        : null;

    public override string Algorithm => "ckks";

    public override double Resolution
        => Math.ScaleB(1, -(NoiseEstimate.Symmetric * Policy.MaxSites).FractionBits(Parameters, Scale));

    public override bool Holds(double value) => float.IsFinite((float)value);

    public override PartCipher CreateCipher(KeyRing keys) => new Cipher(this, keys);

    public override PartSum CreateSum(AggregationRound round, KeyId key, int elements)
        => new Sum(this, round, key, elements);

    public override PartHeader ReadHeader(ReadOnlySpan<byte> ciphertext) => Read(ciphertext, out _, out _);

    private PartHeader Read(ReadOnlySpan<byte> ciphertext, out ReadOnlySpan<byte> body, out int fileBytes)
    {
        var header = CkksEnvelope.Read(ciphertext, ParametersId, Policy.MaxSites, out body);
        var chunks = Chunks(header.Elements);
        fileBytes = body.Length == (long)chunks * SeededBytes && header.Members.Count == 1 ? SeededBytes : WholeBytes;
        if (body.Length != (long)chunks * fileBytes)
            throw CkksEnvelope.Malformed($"it has {body.Length} bytes of ciphertext for {header.Elements} elements");
        return header;
    }

    private static int Chunks(int elements)
        => (int)(((long)elements + Parameters.SlotCount - 1) / Parameters.SlotCount);

    private static int FileBytes(SealSeed? seed)
    {
        var buffer = new ArrayBufferWriter<byte>();
        SealFile.Write(new CkksCiphertext(Parameters) { Scale = Scale, Seed = seed }, buffer);
        return buffer.WrittenCount;
    }

    /// <summary>
    /// What the server and the decryptor do to an upload's or a sum's file. Compressed files, which no site of a
    /// federation writes, and anything but a fresh ciphertext's level and scale are refused.
    /// </summary>
    private static void ReadFile(ReadOnlySpan<byte> file, CkksCiphertext destination)
    {
        if (SealHeader.Read(file, "ciphertext").Compression != SealCompression.None)
            throw CkksEnvelope.Malformed(
                "a ciphertext is compressed, which uploads and sums of a federation never are");
        SealFile.ReadCiphertext(file, destination);
        if (destination.Scale != Scale || destination.Level.Id != Parameters.FirstLevel.Id)
            throw CkksEnvelope.Malformed("a ciphertext is of another scale or level than a fresh one");
    }

    private sealed class Cipher(CkksScheme scheme, KeyRing keys) : PartCipher
    {
        private readonly Dictionary<KeyId, (CkksSecretKey Key, Pool<Worker> Workers)> _keys = [];

        public override int UploadBytes(AggregationRound round, string member, int elements) =>
            checked(CkksEnvelope.Write(ParametersId, new(default, round, elements, [member])).Length
                + (Chunks(elements) * SeededBytes));

        public override unsafe long Encrypt(
            SecretKey key,
            ReadOnlySpan<float> values,
            AggregationRound round,
            string member,
            Span<byte> upload,
            ChunkLoop loop)
        {
            var envelope = CkksEnvelope.Write(ParametersId, new(key.Id, round, values.Length, [member]));
            envelope.CopyTo(upload);
            var workers = WorkersOf(key);
            fixed (float* from = values)
            fixed (byte* to = upload[envelope.Length..])
            {
                // Lambdas cannot hold spans; both runs stay pinned until the loop returns.
                var (source, target, elements) = ((nint)from, (nint)to, values.Length);
                loop(Chunks(elements), chunk =>
                {
                    var worker = workers.Rent();
                    try
                    {
                        var first = chunk * Parameters.SlotCount;
                        var count = Math.Min(Parameters.SlotCount, elements - first);
                        worker.Encryptor.Encrypt(
                            new ReadOnlySpan<float>((float*)source + first, count), Scale, worker.Ciphertext);
                        worker.Write(new Span<byte>((byte*)target + ((long)chunk * SeededBytes), SeededBytes));
                    }
                    finally
                    {
                        workers.Return(worker); // disposal overwrites those that came back
                    }
                });
            }
            return 0;
        }

        public override unsafe void Decrypt(
            ReadOnlySpan<byte> sum, PartHeader header, AggregationRound round, Span<double> sums, ChunkLoop loop)
        {
            scheme.Read(sum, out var body, out var fileBytes);
            if (header.Round != round || header.Elements != sums.Length)
                throw new FlareCryptoException(
                    CryptoFault.WrongRound,
                    $"The sum is for {header.Round} with {header.Elements} elements, not {round} with {sums.Length}.");
            if (!keys.TryGet(header.Key, out var key))
                throw new FlareCryptoException(
                    CryptoFault.WrongKey, $"The sum is under key {header.Key}, which is not in this site's key ring.");
            var workers = WorkersOf(key);
            var noise = NoiseEstimate.Symmetric * header.Members.Count;
            fixed (byte* from = body)
            fixed (double* to = sums)
            {
                var (source, target, elements) = ((nint)from, (nint)to, sums.Length);
                loop(Chunks(elements), chunk =>
                {
                    var worker = workers.Rent();
                    try
                    {
                        ReadFile(
                            new ReadOnlySpan<byte>((byte*)source + ((long)chunk * fileBytes), fileBytes),
                            worker.Ciphertext);
                        var first = chunk * Parameters.SlotCount;
                        var count = Math.Min(Parameters.SlotCount, elements - first);
                        worker.Decryptor.Decrypt(
                            worker.Ciphertext, noise, new Span<double>((double*)target + first, count));
                    }
                    finally
                    {
                        workers.Return(worker);
                    }
                });
            }
        }

        public override void Dispose()
        {
            lock (_keys)
                foreach (var (key, workers) in _keys.Values)
                {
                    workers.Drain(w => w.Dispose());
                    key.Dispose();
                }
        }

        private Pool<Worker> WorkersOf(SecretKey secret)
        {
            lock (_keys)
            {
                if (!_keys.TryGetValue(secret.Id, out var entry))
                {
                    var key = CkksSecretKey.Generate(
                        Parameters,
                        seed => secret.Derive(
                            [.. "flare ckks secret"u8, .. Convert.FromHexString(ParametersId)], seed));
                    _keys.Add(secret.Id, entry = (key, new(() => new Worker(key))));
                }
                return entry.Workers;
            }
        }
    }

    /// <summary>What one thread needs.</summary>
    private sealed class Worker(CkksSecretKey key) : IDisposable
    {
        private readonly ArrayBufferWriter<byte> _file = new(SeededBytes);

        public CkksEncryptor Encryptor { get; } = new(key);

        public CkksDecryptor Decryptor { get; } = new(key);

        public CkksCiphertext Ciphertext { get; } = new(Parameters);

        public void Write(Span<byte> destination)
        {
            _file.ResetWrittenCount();
            SealFile.Write(Ciphertext, _file);
            _file.WrittenSpan.CopyTo(destination);
        }

        public void Dispose()
        {
            Encryptor.Dispose();
            Decryptor.Dispose();
        }
    }

    private sealed class Sum(CkksScheme scheme, AggregationRound round, KeyId key, int elements) : PartSum
    {
        private readonly CkksCiphertext[] _sums = New(elements), _incoming = New(elements);
        private readonly SortedSet<string> _members = new(StringComparer.Ordinal);
        private readonly HashSet<string> _seen = [];
        private string _member = "", _hash = "";

        public override int SumBytes => checked(Envelope().Length + (_sums.Length * WholeBytes));

        public override unsafe void Check(ReadOnlySpan<byte> upload, ChunkLoop loop)
        {
            var header = scheme.Read(upload, out var body, out var fileBytes);
            if (header.Key != key)
                throw new FlareCryptoException(
                    CryptoFault.WrongKey,
                    $"The upload is under key {header.Key}; this round is under {key}: the site must rotate its keys.");
            if (header.Round != round || header.Elements != elements)
                throw new FlareCryptoException(
                    CryptoFault.WrongRound,
                    $"The upload is for {header.Round} with {header.Elements} elements, not {round} with {elements}.");
            if (header.Members.Count != 1) throw CkksEnvelope.Malformed("it is a sum where an upload is expected");
            if (_members.Count == scheme.Policy.MaxSites)
                throw new FlareCryptoException(
                    CryptoFault.TooManySummands,
                    $"The sum holds {_members.Count} uploads, as many as the policy allows.");
            (_member, _hash) = (header.Members[0], Convert.ToHexString(SHA256.HashData(body)));
            if (_members.Contains(_member) || _seen.Contains(_hash))
                throw new FlareCryptoException(
                    CryptoFault.Repeated,
                    $"'{_member}', or the very same ciphertext, is already in the sum of {round}.");
            fixed (byte* from = body)
            {
                var source = (nint)from;
                loop(
                    _incoming.Length,
                    chunk => ReadFile(
                        new ReadOnlySpan<byte>((byte*)source + ((long)chunk * fileBytes), fileBytes),
                        _incoming[chunk]));
            }
        }

        public override void Add(ReadOnlySpan<byte> upload, ChunkLoop loop)
        {
            var first = _members.Count == 0;
            loop(_sums.Length, chunk =>
            {
                if (first) _sums[chunk].CopyFrom(_incoming[chunk]);
                else CkksEvaluator.Add(_sums[chunk], _incoming[chunk]);
                _sums[chunk].Seed = null; // all sums are written whole: their size is known
            });
            _members.Add(_member);
            _seen.Add(_hash);
        }

        public override unsafe void Write(Span<byte> destination, ChunkLoop loop)
        {
            var envelope = Envelope();
            envelope.CopyTo(destination);
            fixed (byte* to = destination[envelope.Length..])
            {
                var target = (nint)to;
                loop(_sums.Length, chunk =>
                {
                    var file = new ArrayBufferWriter<byte>(WholeBytes);
                    SealFile.Write(_sums[chunk], file);
                    file.WrittenSpan.CopyTo(new Span<byte>((byte*)target + ((long)chunk * WholeBytes), WholeBytes));
                });
            }
        }

        private byte[] Envelope() => CkksEnvelope.Write(ParametersId, new(key, round, elements, [.. _members]));

        private static CkksCiphertext[] New(int elements)
            => [.. Enumerable.Range(0, Chunks(elements)).Select(_ => new CkksCiphertext(Parameters))];
    }
}
