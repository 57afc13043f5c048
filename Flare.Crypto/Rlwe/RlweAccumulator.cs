namespace Flare.Crypto;

/// <summary>
/// The server's side: adds uploads, or sums of them from a relay, without any key. The sum's bytes depend on the
/// uploads alone, not on the order or the grouping in which they came.
/// </summary>
/// <remarks>
/// Holds 16 bytes a coefficient, however many uploads it adds; adding allocates nothing per chunk. Not safe for
/// concurrent use, except that the chunk loop given to a call may use many threads.
/// </remarks>
public sealed class RlweAccumulator
{
    private readonly RlweParameters _parameters;
    private readonly AggregationRound _round;
    private readonly KeyId _key;
    private readonly ulong[][] _low, _high; // of each chunk, its coefficients' lower and upper words
    private readonly List<Summand> _summands = [];
    private readonly HashSet<string> _sites = [], _seeds = [];
    private UInt128 _tag;

    /// <summary>An empty sum.</summary>
    /// <param name="parameters">The parameters of all uploads.</param>
    /// <param name="round">The round that is summed.</param>
    /// <param name="key">The key that all uploads are under, by its public id.</param>
    /// <param name="elements">The number of values in every upload.</param>
    /// <exception cref="ArgumentException">The job's name is unusable, or elements is negative.</exception>
    public RlweAccumulator(RlweParameters parameters, AggregationRound round, KeyId key, int elements)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(round);
        CiphertextHeader.CheckName(round.Job, "job");
        ArgumentOutOfRangeException.ThrowIfNegative(elements);
        (_parameters, _round, _key, Elements) = (parameters, round, key, elements);
        _low = new ulong[parameters.Chunks(elements)][];
        _high = new ulong[_low.Length][];
        for (var chunk = 0; chunk < _low.Length; chunk++)
            (_low[chunk], _high[chunk]) = (
                new ulong[parameters.Coefficients(chunk, elements)],
                new ulong[parameters.Coefficients(chunk, elements)]);
    }

    /// <summary>The number of values in every upload.</summary>
    public int Elements { get; }

    /// <summary>The uploads in the sum so far.</summary>
    public int Count => _summands.Count;

    /// <summary>The sites in the sum so far, in the order in which they came.</summary>
    public IReadOnlyList<string> Sites => [.. _summands.Select(summand => summand.Site)];

    /// <summary>The exact size of the sum so far.</summary>
    /// <exception cref="InvalidOperationException">Nothing was added, or the sum would exceed 2 GiB.</exception>
    public int SumBytes
    {
        get
        {
            var bytes = Header().Size + _parameters.BodyBytes(Elements, _parameters.SumBits(Count));
            return bytes <= Array.MaxLength
                ? (int)bytes
                : throw new InvalidOperationException(
                    "A sum holds less than 2 GiB: aggregate the model in several parts.");
        }
    }

    /// <summary>
    /// Throws what <see cref="Add"/> would throw, and adds nothing: of a model in parts, all are taken or none.
    /// </summary>
    internal void Check(ReadOnlySpan<byte> ciphertext) => Admit(CiphertextHeader.Read(ciphertext, _parameters, out _));

    /// <summary>Adds an upload, or a sum of other sites' uploads. If it throws, the sum is as it was.</summary>
    /// <param name="ciphertext">The bytes as they came.</param>
    /// <param name="loop">How to run through the chunks; one after another unless told otherwise.</param>
    /// <exception cref="FlareCryptoException">
    /// It is malformed; of other parameters, key, job, round or length; its site or seed is already in the sum; or the
    /// sum would pass the bound.
    /// </exception>
    public unsafe void Add(ReadOnlySpan<byte> ciphertext, ChunkLoop? loop = null)
    {
        var header = CiphertextHeader.Read(ciphertext, _parameters, out var body);
        Admit(header);
        var bits = _parameters.SumBits(header.Summands.Count);
        fixed (byte* bytes = body)
        {
            var (source, length) = ((nint)bytes, body.Length);
            (loop ?? RlweEncryptor.Sequential)(_low.Length, chunk =>
            {
                var (low, high) = (_low[chunk], _high[chunk]);
                var packed = new ReadOnlySpan<byte>((byte*)source, length).Slice(
                    chunk * _parameters.ChunkBytes(bits), (int)((((long)low.Length * bits) + 7) / 8));
                BitPacking.AddTo(packed, bits, low, high);
            });
        }

        foreach (var summand in header.Summands)
        {
            _summands.Add(summand);
            _sites.Add(summand.Site);
            _seeds.Add(Convert.ToHexString(summand.Seed));
        }

        _tag = LinearTag.Add(_tag, header.Tag);
    }

    /// <summary>Writes the sum: what sites decrypt, and what another accumulator can add.</summary>
    /// <param name="destination">Room for <see cref="SumBytes"/> bytes.</param>
    /// <param name="loop">How to run through the chunks; one after another unless told otherwise.</param>
    /// <returns>The bytes written.</returns>
    /// <exception cref="InvalidOperationException">Nothing was added.</exception>
    /// <exception cref="ArgumentException">The destination is too small.</exception>
    public unsafe int Write(Span<byte> destination, ChunkLoop? loop = null)
    {
        var size = SumBytes;
        if (destination.Length < size)
            throw new ArgumentException(
                $"The sum takes {size} bytes; there is room for {destination.Length}.", nameof(destination));
        var header = Header();
        header.Write(destination);
        var bits = _parameters.SumBits(Count);
        var body = destination[header.Size..size];
        fixed (byte* bytes = body)
        {
            var (target, length) = ((nint)bytes, body.Length);
            (loop ?? RlweEncryptor.Sequential)(_low.Length, chunk =>
            {
                var (low, high) = (_low[chunk], _high[chunk]);
                var packed = new Span<byte>((byte*)target, length).Slice(
                    chunk * _parameters.ChunkBytes(bits), (int)((((long)low.Length * bits) + 7) / 8));
                BitPacking.Pack(low, high, bits, packed);
            });
        }

        return size;
    }

    private CiphertextHeader Header()
    {
        if (Count == 0)
            throw new InvalidOperationException($"Nothing was added for {_round}: there is no sum to write.");
        return new()
        {
            Parameters = _parameters.Id,
            Key = _key,
            Round = _round,
            Elements = Elements,
            Summands = [.. _summands.Order(
                Comparer<Summand>.Create((a, b) => CiphertextHeader.CompareSites(a.Site, b.Site)))],
            Tag = _tag,
        };
    }

    private void Admit(CiphertextHeader header)
    {
        if (header.Key != _key)
            throw new FlareCryptoException(
                CryptoFault.WrongKey,
                $"The upload is under key {header.Key}; this round is under {_key}: the site must rotate its keys.");
        if (header.Round != _round || header.Elements != Elements)
            throw new FlareCryptoException(
                CryptoFault.WrongRound,
                $"The upload is for {header.Round} with {header.Elements} elements, not {_round} with {Elements}.");
        if (Count + header.Summands.Count > _parameters.MaxSummands)
            throw new FlareCryptoException(
                CryptoFault.TooManySummands,
                $"The sum would hold {Count + header.Summands.Count} uploads, where the parameters allow "
                    + $"{_parameters.MaxSummands}.");
        foreach (var (site, seed) in header.Summands)
        {
            if (_sites.Contains(site))
                throw new FlareCryptoException(
                    CryptoFault.Repeated, $"Site '{site}' is already in the sum of {_round}.");
            if (_seeds.Contains(Convert.ToHexString(seed)))
                throw new FlareCryptoException(
                    CryptoFault.Repeated,
                    $"The seed of site '{site}' is already in the sum of {_round}: two uploads under one seed reveal "
                        + "their difference. Check the site's random generator.");
        }
    }
}
