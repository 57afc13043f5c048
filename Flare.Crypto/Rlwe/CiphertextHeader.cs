using System.Buffers.Binary;
using System.Text;

namespace Flare.Crypto;

/// <summary>One upload in a sum: who made it, and the public seed of its random polynomials.</summary>
internal readonly record struct Summand(string Site, byte[] Seed);

/// <summary>
/// What stands before the coefficients of an upload or a sum; an upload is a sum of one. Little-endian: "FLCT" | u16
/// version 2 | u16 scheme 1 | parameter id (16) | key id (16) | i64 round | u32 elements | u32 summands | tag (16) |
/// job (u8 length, UTF-8) | per summand, in ascending order of the site's bytes: site (u8 length, UTF-8), seed (32).
/// </summary>
internal sealed class CiphertextHeader
{
    public const int SeedSize = 32;
    private const ushort Version = 2, Scheme = 1;
    private const int FixedSize = 72, TagAt = 56, ParametersAt = 8, KeyAt = 24;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private static ReadOnlySpan<byte> Magic => "FLCT"u8;

    public required string Parameters { get; init; }

    public required KeyId Key { get; init; }

    public required AggregationRound Round { get; init; }

    public required int Elements { get; init; }

    public required IReadOnlyList<Summand> Summands { get; init; }

    public UInt128 Tag { get; init; }

    /// <summary>Bytes of the header.</summary>
    public int Size => FixedSize + Length(Round.Job) + Summands.Sum(summand => Length(summand.Site) + SeedSize);

    public static void CheckName(string name, string what)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (Utf8.GetByteCount(name) > byte.MaxValue)
            throw new ArgumentException($"The {what}'s name is longer than {byte.MaxValue} bytes: '{name}'.");
    }

    public void Write(Span<byte> destination)
    {
        Magic.CopyTo(destination);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], Scheme);
        Convert.FromHexString(Parameters, destination.Slice(ParametersAt, 16), out _, out _);
        Key.CopyTo(destination.Slice(KeyAt, KeyId.Size));
        BinaryPrimitives.WriteInt64LittleEndian(destination[40..], Round.Number);
        BinaryPrimitives.WriteInt32LittleEndian(destination[48..], Elements);
        BinaryPrimitives.WriteInt32LittleEndian(destination[52..], Summands.Count);
        BinaryPrimitives.WriteUInt128LittleEndian(destination[TagAt..], Tag);
        var at = FixedSize + WriteName(Round.Job, destination[FixedSize..]);
        foreach (var (site, seed) in Summands)
        {
            at += WriteName(site, destination[at..]);
            seed.CopyTo(destination[at..]);
            at += SeedSize;
        }
    }

    /// <summary>What a summand's mask is a function of: the header of its upload with a zero tag.</summary>
    public byte[] Canonical(Summand summand)
    {
        var single =
            new CiphertextHeader
        {
            Parameters = Parameters,
            Key = Key,
            Round = Round,
            Elements = Elements,
            Summands = [summand],
        };
        var bytes = new byte[single.Size];
        single.Write(bytes);
        return bytes;
    }

    /// <summary>
    /// Reads a header, and checks all that needs no key: lengths, canonical order, no repeated site or seed.
    /// </summary>
    /// <param name="ciphertext">The whole upload or sum.</param>
    /// <param name="parameters">The parameters it must have been made under.</param>
    /// <param name="body">The packed coefficients.</param>
    /// <exception cref="FlareCryptoException">It is not a ciphertext of these parameters.</exception>
    public static CiphertextHeader Read(
        ReadOnlySpan<byte> ciphertext, RlweParameters parameters, out ReadOnlySpan<byte> body)
    {
        if (ciphertext.Length < FixedSize || !ciphertext.StartsWith(Magic))
            throw Malformed("it does not start with the header of one");
        var version = BinaryPrimitives.ReadUInt16LittleEndian(ciphertext[4..]);
        if (version != Version)
            throw Malformed($"its version is {version}; this release reads version {Version}");
        if (BinaryPrimitives.ReadUInt16LittleEndian(ciphertext[6..]) != Scheme)
            throw Malformed("it is of another scheme");
        var id = Convert.ToHexStringLower(ciphertext.Slice(ParametersAt, 16));
        if (id != parameters.Id)
            throw new FlareCryptoException(
                CryptoFault.WrongParameters,
                $"The ciphertext was made under parameters {id}, not {parameters.Id}: "
                    + "all sites and the server must choose alike.");
        var elements = BinaryPrimitives.ReadInt32LittleEndian(ciphertext[48..]);
        var count = BinaryPrimitives.ReadInt32LittleEndian(ciphertext[52..]);
        var tag = BinaryPrimitives.ReadUInt128LittleEndian(ciphertext[TagAt..]);
        if (elements < 0 || count < 1 || tag >= LinearTag.Prime)
            throw Malformed("a number in its header is out of range");
        if (count > parameters.MaxSummands)
            throw new FlareCryptoException(
                CryptoFault.TooManySummands,
                $"The ciphertext is a sum of {count} uploads, where the parameters allow {parameters.MaxSummands}.");

        var rest = ciphertext[FixedSize..];
        var job = ReadName(ref rest);
        var summands = new List<Summand>(Math.Min(count, rest.Length / SeedSize));
        for (var i = 0; i < count; i++)
        {
            var site = ReadName(ref rest);
            if (rest.Length < SeedSize)
                throw Malformed("it ends within its header");
            summands.Add(new(site, rest[..SeedSize].ToArray()));
            rest = rest[SeedSize..];
            if (i > 0 && CompareSites(summands[i - 1].Site, site) >= 0)
                throw summands[i - 1].Site == site
                    ? new FlareCryptoException(CryptoFault.Repeated, $"Site '{site}' occurs twice in the sum.")
                    : Malformed("its sites are not in order");
        }

        CheckSeeds(summands);
        var bits = parameters.SumBits(count);
        if (rest.Length != parameters.BodyBytes(elements, bits))
            throw Malformed(
                $"it has {rest.Length} bytes of coefficients where {elements} elements take "
                    + $"{parameters.BodyBytes(elements, bits)}");
        if (elements > 0
            && !BitPacking.IsPaddedWithZeros(
                rest, parameters.Coefficients(parameters.Chunks(elements) - 1, elements), bits))
            throw Malformed("bits after its last coefficient are set");
        body = rest;
        return new()
        {
            Parameters = id,
            Key = KeyId.FromBytes(ciphertext.Slice(KeyAt, KeyId.Size)),
            Round = new(job, BinaryPrimitives.ReadInt64LittleEndian(ciphertext[40..])),
            Elements = elements,
            Summands = summands,
            Tag = tag,
        };
    }

    /// <summary>The order of summands: that of their sites' UTF-8 bytes, which any language can reproduce.</summary>
    public static int CompareSites(string a, string b) => Utf8.GetBytes(a).AsSpan().SequenceCompareTo(Utf8.GetBytes(b));

    private static void CheckSeeds(List<Summand> summands)
    {
        var seeds = new HashSet<string>(summands.Count);
        foreach (var (site, seed) in summands)
            if (!seeds.Add(Convert.ToHexString(seed)))
                throw new FlareCryptoException(
                    CryptoFault.Repeated, $"The seed of site '{site}' occurs twice in the sum.");
    }

    private static int Length(string name) => 1 + Utf8.GetByteCount(name);

    private static int WriteName(string name, Span<byte> destination)
    {
        var bytes = Utf8.GetBytes(name, destination[1..]);
        destination[0] = (byte)bytes;
        return 1 + bytes;
    }

    private static string ReadName(ref ReadOnlySpan<byte> rest)
    {
        if (rest.IsEmpty || rest[0] == 0 || rest.Length <= rest[0])
            throw Malformed("it ends within its header, or a name is empty");
        var name = rest.Slice(1, rest[0]);
        rest = rest[(1 + name.Length)..];
        try
        {
            return Utf8.GetString(name);
        }
        catch (DecoderFallbackException invalid)
        {
            throw Malformed("a name is not UTF-8", invalid);
        }
    }

    private static FlareCryptoException Malformed(string what, Exception? inner = null)
        => new(CryptoFault.Malformed, $"This is not a ciphertext that can be read here: {what}.", inner);
}
