namespace Flare.Crypto;

/// <summary>What a site expects of a sum before it opens it.</summary>
/// <param name="Round">The round that was announced.</param>
/// <param name="Summands">The number of uploads that was announced.</param>
public sealed record ExpectedSum(AggregationRound Round, int Summands)
{
    /// <summary>
    /// The sites that must be in the sum, no more and no fewer; null, the default, leaves open which they are.
    /// </summary>
    public IReadOnlyCollection<string>? Sites { get; init; }
}

/// <summary>What was in an opened sum.</summary>
/// <param name="Key">The key it was under.</param>
/// <param name="Sites">The sites whose uploads it holds; verified.</param>
public sealed record SumReport(KeyId Key, IReadOnlyList<string> Sites);

/// <summary>
/// Opens sums. What comes out is exactly the sum of the quantised values of the named sites' uploads for the round; a
/// sum that was altered, or is of other uploads, is refused.
/// </summary>
/// <remarks>
/// Needs the time of one upload's encryption and of one random polynomial for every summand. Safe for concurrent use.
/// Disposal overwrites what was derived from keys; the ring stays its owner's.
/// </remarks>
public sealed class RlweDecryptor : IDisposable
{
    private readonly RlweParameters _parameters;
    private readonly RlweCodec _codec;
    private readonly KeyRing _ring;
    private readonly Lock _gate = new();
    private readonly Dictionary<KeyId, RlweKey> _keys = [];
    private readonly Pool<ChunkWorkspace> _workspaces;

    /// <summary>Prepares to open sums under any key of a ring.</summary>
    public RlweDecryptor(RlweParameters parameters, KeyRing ring)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(ring);
        (_parameters, _ring) = (parameters, ring);
        _codec = new RlweCodec(parameters);
        _workspaces = new(() => new ChunkWorkspace(parameters));
    }

    /// <summary>Opens a sum. If it throws, <paramref name="sums"/> holds zeros.</summary>
    /// <param name="sum">The bytes as they came.</param>
    /// <param name="expected">What the sum must be of.</param>
    /// <param name="sums">
    /// One integer for every value of an upload: Σ round(v · 2^FractionBits). <see cref="Quantization.Dequantize"/>
    /// makes means of them.
    /// </param>
    /// <param name="loop">How to run through the chunks; one after another unless told otherwise.</param>
    /// <exception cref="FlareCryptoException">The sum is malformed, altered, or not the expected one.</exception>
    public unsafe SumReport Decrypt(
        ReadOnlySpan<byte> sum, ExpectedSum expected, Span<long> sums, ChunkLoop? loop = null)
    {
        ArgumentNullException.ThrowIfNull(expected);
        sums.Clear();
        var header = CiphertextHeader.Read(sum, _parameters, out var body);
        Check(header, expected, sums.Length);
        var key = KeyOf(header.Key);

        var seeds = header.Summands.Select(summand => summand.Seed).ToArray();
        var workers = new Pool<Worker>(() => new Worker(_workspaces.Rent(), seeds, key.TagKey));
        var hashes = new UInt128[_parameters.Chunks(header.Elements)];
        var bits = _parameters.SumBits(seeds.Length);
        try
        {
            fixed (byte* from = body)
            fixed (long* to = sums)
            {
                var (source, bytes, target, elements) = ((nint)from, body.Length, (nint)to, sums.Length);
                (loop ?? RlweEncryptor.Sequential)(hashes.Length, chunk =>
                {
                    var worker = workers.Rent();
                    try
                    {
                        var packed = new ReadOnlySpan<byte>((byte*)source, bytes);
                        hashes[chunk] = DecryptChunk(key, worker, chunk, bits, packed, new((long*)target, elements));
                    }
                    finally
                    {
                        workers.Return(worker); // so that its keys are overwritten whatever happens
                    }
                });
            }
        }
        finally
        {
            workers.Drain(worker => _workspaces.Return(worker.Release()));
        }

        if (TagOf(key, header, hashes) != header.Tag)
        {
            sums.Clear();
            throw new FlareCryptoException(
                CryptoFault.Altered,
                $"The sum of {header.Round} is not the sum of the {seeds.Length} uploads it names: it was altered on "
                    + "the way or by the server.");
        }

        return new(header.Key, [.. header.Summands.Select(summand => summand.Site)]);
    }

    /// <summary>Overwrites what was derived from keys.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var key in _keys.Values)
                key.Dispose();
            _keys.Clear();
        }

        _workspaces.Drain(workspace => workspace.Clear());
    }

    private static UInt128 TagOf(RlweKey key, CiphertextHeader header, UInt128[] hashes)
    {
        UInt128 tag = 0;
        foreach (var hash in hashes)
            tag = LinearTag.Add(tag, hash);
        foreach (var summand in header.Summands)
            tag = LinearTag.Add(tag, LinearTag.Mask(key.MaskKey, header.Canonical(summand)));
        return tag;
    }

    private UInt128 DecryptChunk(
        RlweKey key, Worker worker, int chunk, int bits, ReadOnlySpan<byte> body, Span<long> sums)
    {
        var space = worker.Space;
        var coefficients = _parameters.Coefficients(chunk, sums.Length);
        Span<ulong> low = space.Low.Span[..coefficients], high = space.High.Span[..coefficients];
        low.Clear();
        high.Clear();
        BitPacking.AddTo(
            body.Slice(chunk * _parameters.ChunkBytes(bits), (int)((((long)coefficients * bits) + 7) / 8)),
            bits,
            low,
            high);

        // Random polynomials are summed before the one transform.
        for (var i = 0; i < space.Residues.Length; i++)
        {
            var total = space.Residues[i].Span;
            total.Clear();
            foreach (var seed in worker.Seeds)
            {
                seed.Seek(ChunkWorkspace.PolynomialStream(chunk, i));
                Samplers.AddUniform(seed, key.Transforms[i].Modulus, total);
            }

            key.TimesNegatedSecret(i, total);
        }

        var first = chunk * _parameters.ChunkValues;
        var values = sums.Slice(first, Math.Min(_parameters.ChunkValues, sums.Length - first));
        _codec.Decode(low, high, space.Residues[0].Span, space.Residues[^1].Span, values);
        return LinearTag.Hash(worker.TagKey, chunk, key.TagFactors.Span, low, high, bits);
    }

    private static void Check(CiphertextHeader header, ExpectedSum expected, int elements)
    {
        if (header.Round != expected.Round || header.Elements != elements)
            throw new FlareCryptoException(
                CryptoFault.WrongRound,
                $"The sum is for {header.Round} with {header.Elements} "
                    + $"elements, not {expected.Round} with {elements}.");
        if (header.Summands.Count != expected.Summands)
            throw new FlareCryptoException(
                CryptoFault.WrongSites,
                $"The sum for {header.Round} is of {header.Summands.Count} "
                    + $"uploads, where {expected.Summands} were announced.");
        if (expected.Sites is { } sites
            && !header.Summands.Select(summand => summand.Site).ToHashSet().SetEquals(sites))
            throw new FlareCryptoException(
                CryptoFault.WrongSites, $"The sum for {header.Round} is of other sites than announced: {string.Join(
                    ", ", header.Summands.Select(summand => summand.Site))}.");
    }

    private RlweKey KeyOf(KeyId id)
    {
        if (!_ring.TryGet(id, out var secret))
            throw new FlareCryptoException(
                CryptoFault.WrongKey, $"The sum is under key {id}, which is not in this site's key ring.");
        lock (_gate)
        {
            if (!_keys.TryGetValue(id, out var key))
                _keys.Add(id, key = new RlweKey(secret, _parameters));
            return key;
        }
    }

    /// <summary>A thread's share of one decryption.</summary>
    private sealed class Worker(ChunkWorkspace space, byte[][] seeds, byte[] tagKey)
    {
        public ChunkWorkspace Space { get; } = space;

        public AesStream[] Seeds { get; } = Array.ConvertAll(seeds, seed => new AesStream(seed, space.Aes));

        public AesStream TagKey { get; } = new(tagKey, space.Aes);

        public ChunkWorkspace Release()
        {
            foreach (var seed in Seeds)
                seed.Dispose();
            TagKey.Dispose();
            return Space;
        }
    }
}
