using System.Globalization;
using System.Security.Cryptography;

namespace Flare.Crypto;

/// <summary>What <see cref="RlweEncryptor"/> did.</summary>
/// <param name="BytesWritten">The upload's size.</param>
/// <param name="Clipped">How many values lay outside the fixed-point range and were moved to its end.</param>
public readonly record struct EncryptionReport(int BytesWritten, long Clipped);

/// <summary>
/// Encrypts a site's values for one round, so that a server without the key can add uploads, and only a holder of the
/// key can open their sum. docs/encryption.md describes the scheme.
/// </summary>
/// <remarks>
/// Safe for concurrent use; memory grows by a workspace (some 400 KiB) for every thread that works at once. Disposal
/// overwrites what was derived from the key; the key itself stays its owner's.
/// </remarks>
public sealed class RlweEncryptor : IDisposable
{
    private const int EntropySize = 32;

    private readonly RlweKey _key;
    private readonly RlweCodec _codec;
    private readonly Pool<ChunkWorkspace> _workspaces;

    /// <summary>Prepares to encrypt under a key.</summary>
    public RlweEncryptor(RlweParameters parameters, SecretKey key)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(key);
        Parameters = parameters;
        _key = new RlweKey(key, parameters);
        _codec = new RlweCodec(parameters);
        _workspaces = new(() => new ChunkWorkspace(parameters));
    }

    /// <summary>The parameters of every upload.</summary>
    public RlweParameters Parameters { get; }

    /// <summary>The id of the key of every upload.</summary>
    public KeyId Key => _key.Id;

    /// <summary>The exact size of an upload.</summary>
    /// <param name="round">The round.</param>
    /// <param name="site">The site's name: 1 to 255 bytes of UTF-8.</param>
    /// <param name="elements">The number of values.</param>
    /// <exception cref="ArgumentException">A name is empty or too long, or the upload would exceed 2 GiB.</exception>
    public int UploadBytes(AggregationRound round, string site, int elements)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(elements);
        var bytes = Header(round, site, elements, new byte[CiphertextHeader.SeedSize], 0).Size
            + Parameters.BodyBytes(elements, Parameters.UploadBits);
        return bytes <= Array.MaxLength
            ? (int)bytes
            : throw new ArgumentOutOfRangeException(
                nameof(elements),
                elements,
                "An upload holds less than 2 GiB: send the model in several "
                    + "parts, each as an element run of its own job or round.");
    }

    /// <summary>Encrypts a site's values for a round, under fresh randomness.</summary>
    /// <param name="values">The values, in an order that all sites share. Read only; not kept.</param>
    /// <param name="round">The round that the upload counts in.</param>
    /// <param name="site">The site's name: 1 to 255 bytes of UTF-8.</param>
    /// <param name="destination">Room for <see cref="UploadBytes"/> bytes.</param>
    /// <param name="outOfRange">What to do with values outside the fixed-point range.</param>
    /// <param name="loop">How to run through the chunks; one after another unless told otherwise.</param>
    /// <exception cref="FlareCryptoException"><see cref="CryptoFault.ValueOutOfRange"/>.</exception>
    /// <exception cref="ArgumentException">A name is unusable, or the destination is too small.</exception>
    public EncryptionReport Encrypt(
        ReadOnlySpan<float> values, AggregationRound round, string site, Span<byte> destination,
        OutOfRange outOfRange = OutOfRange.Refuse, ChunkLoop? loop = null)
    {
        Span<byte> entropy = stackalloc byte[EntropySize];
        RandomNumberGenerator.Fill(entropy);
        return Encrypt(values, round, site, destination, outOfRange, loop, entropy);
    }

    /// <summary>Overwrites what was derived from the key.</summary>
    public void Dispose()
    {
        _key.Dispose();
        _workspaces.Drain(workspace => workspace.Clear());
    }

    /// <summary>As
    /// <see cref="Encrypt(ReadOnlySpan{float}, AggregationRound, string, Span{byte}, OutOfRange, ChunkLoop?)"/>, from
    /// given entropy: the same in, the same out. Entropy must never serve twice.</summary>
    internal unsafe EncryptionReport Encrypt(
        ReadOnlySpan<float> values, AggregationRound round, string site, Span<byte> destination,
        OutOfRange outOfRange, ChunkLoop? loop, ReadOnlySpan<byte> entropy)
    {
        var size = UploadBytes(round, site, values.Length);
        if (destination.Length < size)
            throw new ArgumentException(
                $"The upload takes {size} bytes; there is room for {destination.Length}.", nameof(destination));

        // Bound to site and round, so that machines cloned with their generator's state still differ. The seed is
        // public; the noise key, its sibling, stays here.
        Span<byte> keys = stackalloc byte[2 * CiphertextHeader.SeedSize];
        var blank = Header(round, site, values.Length, new byte[CiphertextHeader.SeedSize], 0);
        HKDF.DeriveKey(
            HashAlgorithmName.SHA256, entropy, keys, salt: default, info: blank.Canonical(blank.Summands[0]));
        var seed = keys[..CiphertextHeader.SeedSize].ToArray();
        var noise = keys[CiphertextHeader.SeedSize..].ToArray();

        var workers = new Pool<Worker>(() => new Worker(_workspaces.Rent(), seed, noise, _key.TagKey));
        var body = destination[(blank.Size)..size];
        var hashes = new UInt128[Parameters.Chunks(values.Length)];
        var clipped = 0L;
        try
        {
            fixed (float* from = values)
            fixed (byte* to = body)
            {
                // Lambdas cannot hold spans; both runs stay pinned until the loop returns.
                var (source, target, elements, bytes) = ((nint)from, (nint)to, values.Length, body.Length);
                (loop ?? Sequential)(hashes.Length, chunk =>
                {
                    var worker = workers.Rent();
                    try
                    {
                        var packed = new Span<byte>((byte*)target, bytes);
                        var run = new ReadOnlySpan<float>((float*)source, elements);
                        var count = EncryptChunk(worker, chunk, run, packed, outOfRange, out hashes[chunk]);
                        Interlocked.Add(ref clipped, count);
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
            CryptographicOperations.ZeroMemory(noise);
            CryptographicOperations.ZeroMemory(keys);
        }

        var header = Header(round, site, values.Length, seed, 0);
        var tag = LinearTag.Mask(_key.MaskKey, header.Canonical(header.Summands[0]));
        foreach (var hash in hashes)
            tag = LinearTag.Add(tag, hash);
        Header(round, site, values.Length, seed, tag).Write(destination);
        return new(size, clipped);
    }

    internal static void Sequential(int chunks, Action<int> process)
    {
        for (var chunk = 0; chunk < chunks; chunk++)
            process(chunk);
    }

    private int EncryptChunk(
        Worker worker, int chunk, ReadOnlySpan<float> values, Span<byte> body, OutOfRange outOfRange, out UInt128 hash)
    {
        var (space, p) = (worker.Space, Parameters.ValuesPerCoefficient);
        var coefficients = Parameters.Coefficients(chunk, values.Length);
        var first = chunk * Parameters.ChunkValues;
        var run = values.Slice(first, Math.Min(Parameters.ChunkValues, values.Length - first));
        var clipped = Parameters.Format.Quantize(run, space.Integers, first);
        if (clipped > 0 && outOfRange == OutOfRange.Refuse)
            throw Beyond(run, first, clipped);
        space.Integers.AsSpan(run.Length, (coefficients * p) - run.Length).Clear();

        for (var i = 0; i < space.Residues.Length; i++)
        {
            worker.Seed.Seek(ChunkWorkspace.PolynomialStream(chunk, i));
            Samplers.Uniform(worker.Seed, _key.Transforms[i].Modulus, space.Residues[i].Span);
            _key.TimesNegatedSecret(i, space.Residues[i].Span);
        }

        worker.Noise.Seek((ulong)chunk);
        Samplers.Noise(worker.Noise, space.Noise.Span[..coefficients]);
        Span<ulong> low = space.Low.Span[..coefficients], high = space.High.Span[..coefficients];
        _codec.Encode(space.Integers, space.Noise.Span, space.Residues[0].Span, space.Residues[^1].Span, low, high);
        var bits = Parameters.UploadBits;
        hash = LinearTag.Hash(worker.TagKey, chunk, _key.TagFactors.Span, low, high, bits);
        BitPacking.Pack(
            low,
            high,
            bits,
            body.Slice(chunk * Parameters.ChunkBytes(bits), (int)((((long)coefficients * bits) + 7) / 8)));
        return clipped;
    }

    private FlareCryptoException Beyond(ReadOnlySpan<float> run, int first, int count)
    {
        var at = 0;
        while (Parameters.Format.Holds(run[at]))
            at++;
        var others = count == 1
            ? ""
            : string.Create(
                CultureInfo.InvariantCulture,
                $", and {count - 1} more of the {run.Length} values from {first} on are too");
        return new(CryptoFault.ValueOutOfRange, string.Create(
            CultureInfo.InvariantCulture,
            $"Value {first + at} is {run[at]}, beyond the fixed-point range of ±{Parameters.Format.Limit:G6}{others}: "
                + $"choose a wider {nameof(Quantization)}, or {nameof(OutOfRange)}.{nameof(OutOfRange.Clip)}."));
    }

    private CiphertextHeader Header(AggregationRound round, string site, int elements, byte[] seed, UInt128 tag)
    {
        ArgumentNullException.ThrowIfNull(round);
        CiphertextHeader.CheckName(round.Job, "job");
        CiphertextHeader.CheckName(site, "site");
        return new()
        {
            Parameters = Parameters.Id,
            Key = _key.Id,
            Round = round,
            Elements = elements,
            Summands = [new(site, seed)],
            Tag = tag,
        };
    }

    /// <summary>A thread's share of one encryption.</summary>
    private sealed class Worker(ChunkWorkspace space, byte[] seed, byte[] noise, byte[] tagKey)
    {
        public ChunkWorkspace Space { get; } = space;

        public AesStream Seed { get; } = new(seed, space.Aes);

        public AesStream Noise { get; } = new(noise, space.Aes);

        public AesStream TagKey { get; } = new(tagKey, space.Aes);

        public ChunkWorkspace Release()
        {
            Seed.Dispose();
            Noise.Dispose();
            TagKey.Dispose();
            return Space;
        }
    }
}
