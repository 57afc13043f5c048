using System.Globalization;
using System.Buffers.Binary;
using System.Text;

namespace Flare.Tests.Core.Tensors;

public class SafetensorsHostileTests
{
    [TestCase("", "no JSON object")]
    [TestCase("[]", "no JSON object")]
    [TestCase(" {}", "no JSON object")]
    [TestCase("{", "not valid JSON")]
    [TestCase("{}}", "not valid JSON")]
    [TestCase("{}x", "not valid JSON")]
    [TestCase("""{"w":5}""", "tensor 'w' is described by no JSON object")]
    [TestCase("""{"w":{}}""", "tensor 'w' lacks")]
    [TestCase("""{"w":{"dtype":"U8","shape":[4],"data_offsets":[0]}}""", "tensor 'w' lacks")]
    [TestCase("""{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}""",
        "data_offsets of tensor 'w' has more than 2")]
    [TestCase("""{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}""",
        "'F8_E4M3', which Flare does not hold. Convert it")]
    [TestCase("""{"w":{"dtype":1,"shape":[4],"data_offsets":[0,4]}}""", "dtype of tensor 'w'")]
    [TestCase("""{"w":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}""",
        "dtype of tensor 'w' is given twice")]
    [TestCase("""{"w":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}""", "shape of tensor 'w'")]
    [TestCase("""{"w":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}""", "shape of tensor 'w'")]
    [TestCase("""{"w":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4]}}""", "shape of tensor 'w'")]
    [TestCase("""{"w":{"dtype":"U8","shape":4,"data_offsets":[0,4]}}""", "shape of tensor 'w' is no JSON array")]
    [TestCase("""{"w":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", "2^60")]
    [TestCase("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""",
        "tensor 'w' is Float32[2], 8 bytes, but its data_offsets span 4")]
    [TestCase("""{"w":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}""", "tensor 'w'")]
    [TestCase("""{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"v":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}""", "data of tensor 'v' begins at 1 where 2 is due")]
    [TestCase("""{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"v":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", "data of tensor 'v' begins at 2 where 1 is due")]
    [TestCase("""{"w":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}""",
        "data of tensor 'w' begins at 1 where 0 is due")]
    [TestCase("""{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}""", "'w' occurs twice")]
    [TestCase("""{"":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "tensor '' cannot be held")]
    [TestCase("""{"\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "no valid Unicode")]
    [TestCase("""{"w":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}""", "cut short")]
    [TestCase("""{"w":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}""", "cut short")]
    [TestCase("""{"__metadata__":[]}""", "__metadata__ is no JSON object")]
    [TestCase("""{"__metadata__":{"a":1}}""", "'a' in __metadata__ is no string")]
    [TestCase("""{"__metadata__":{"a":"1","a":"2"}}""", "'a' occurs twice")]
    [TestCase("""{"__metadata__":{"flare.buffers":"{}"}}""", "no JSON array")]
    [TestCase("""{"__metadata__":{"flare.buffers":"[1]"}}""", "no name")]
    [TestCase("""{"__metadata__":{"flare.order":"[\"w\",\"w\"]"}}""", "'w' occurs twice in flare.order")]
    [TestCase("""{"__metadata__":{"flare.order":"[\"w\""}}""", "flare.order is not valid JSON")]
    [TestCase("""{"w":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}""",
        "tensor 'w' of BOOL holds a byte other than 0 and 1")]
    public void A_malformed_file_is_refused_with_file_tensor_and_remedy(string header, string complaint)
    {
        byte[] data = [0, 1, 2, 3];
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "hostile.safetensors");
        File.WriteAllBytes(path, Files.Of(header, data).ToArray());
        Assert.That(() => StateDict.Load(path), Refused(complaint).And.Message.StartWith(path));
        Assert.That(
            () => StateDict.Load(Files.Of(header, data)), Refused(complaint).And.Message.StartWith("the stream"));
        var trickle = new TrickleStream(Files.Of(header, data).ToArray(), 3);
        Assert.That(() => StateDict.Load(trickle), Refused(complaint));
    }

    [Test]
    public void Names_that_are_no_UTF_8_are_refused() =>
        Assert.That(() => StateDict.Load(Files.Of([.. "{\""u8, 0xFF, 0xC0, .. "\":{}}"u8], [])), Refused("the header"));

    [Test]
    public void Nesting_is_limited()
    {
        var header =
            $$$"""{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":{{{new string('[', 100_000)}}}{{{new string(']', 100_000)}}}}}""";
        Assert.That(() => StateDict.Load(Files.Of(header, [])), Refused("not valid JSON"));
    }

    [Test]
    public void Ranks_are_limited()
    {
        var header =
            $$$"""{"w":{"dtype":"U8","shape":[{{{string.Join(',', Enumerable.Repeat(1, 65))}}}],"data_offsets":[0,1]}}""";
        Assert.That(() => StateDict.Load(Files.Of(header, [1])), Refused("shape of tensor 'w' has more than 64"));
    }

    [Test]
    public void Long_names_are_cut_in_messages()
    {
        var name = new string('n', 1_000_000);
        Assert.That(() => StateDict.Load(Files.Of($$$"""{"{{{name}}}":{}}""", [])),
            Throws.InstanceOf<SafetensorsException>().With.Property("Message").Length.LessThan(1000));
    }

    [Test]
    public void Bytes_behind_the_last_tensor_are_refused_in_a_file()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "long.safetensors");
        File.WriteAllBytes(path, [.. Files.Of("{}", []).ToArray(), 1]);
        Assert.That(() => StateDict.Load(path), Refused("1 bytes follow the last tensor"));
    }

    [Test]
    public void Every_truncation_is_refused()
    {
        using var model = SampleModels.Random(
            new TensorLayout(new("a", DType.Float32, [20]), new("b", DType.Int8, [3])), 1);
        var stream = new MemoryStream();
        model.Save(stream);
        var file = stream.ToArray();
        for (var length = 0; length < file.Length; length++)
        {
            Assert.That(() => StateDict.Load(new MemoryStream(file, 0, length)), Refused(""));
            Assert.That(() => StateDict.Load(new TrickleStream(file[..length], 1000)), Refused(""));
        }
    }

    [TestCase(ulong.MaxValue), TestCase(1UL << 63), TestCase(100_000_001UL)]
    public void A_header_above_the_formats_limit_is_refused(ulong length)
    {
        var file = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        Assert.That(() => StateDict.Load(new MemoryStream(file)), Refused("the format allows 100,000,000"));
    }

    [Test]
    public void What_is_claimed_but_never_arrives_takes_no_memory()
    {
        var claimsHeader = new byte[64];
        BinaryPrimitives.WriteUInt64LittleEndian(claimsHeader, 100_000_000);
        var claimsData = Files.Of(
            """{"w":{"dtype":"U8","shape":[100000000000],"data_offsets":[0,100000000000]}}""", new byte[100]).ToArray();
        foreach (var file in new[] { claimsHeader, claimsData })
        {
            Assert.That(
                Allocated(() => Assert.That(() => StateDict.Load(new MemoryStream(file)), Refused("cut short"))),
                Is.LessThan(1 << 20));
            Assert.That(
                Allocated(
                    () => Assert.That(() => StateDict.Load(new TrickleStream(file, 1000)), Refused("cut short"))),
                    Is.LessThan(3 << 20));
        }
    }

    [Test]
    public void A_long_model_from_a_stream_without_length_arrives_whole()
    {
        using var model = SampleModels.Random(
            new TensorLayout(
                new("a", DType.Int8, [7]), new("b", DType.UInt8, [700_001]), new("c", DType.Int64, [300_000])), 4);
        var stream = new MemoryStream();
        model.Save(stream);
        Assert.That(stream.Length, Is.GreaterThan(2 * SafetensorsReader.Trusted));
        using var back = StateDict.Load(new TrickleStream(stream.ToArray(), 100_000));
        Assert.That(back.ContentEquals(model));
    }

    [Test]
    public void Mutated_files_load_or_are_refused_and_never_take_much_memory([Range(1, 4)] int seed)
    {
        using var model = SampleModels.Random(SmallMixed(), seed);
        var stream = new MemoryStream();
        model.Save(stream);
        var original = stream.ToArray();
        var headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(original);
        var random = new Random(seed);
        var loaded = 0;
        for (var i = 0; i < 2000; i++)
        {
            var file = Mutate(original, headerLength, random);
            Stream source = i % 2 == 0 ? new MemoryStream(file) : new TrickleStream(file, 1 + random.Next(5000));
            var allocated = Allocated(() =>
            {
                try
                {
                    using var _ = StateDict.Load(source);
                    loaded++;
                }
                catch (SafetensorsException e)
                {
                    if (e.Message.Length is 0 or > 2000) Assert.Fail($"A message of {e.Message.Length} characters.");
                }
            });
            if (allocated > 4 << 20) Assert.Fail($"Case {i} took {allocated:N0} bytes for a file of {file.Length:N0}.");
        }
        Assert.That(loaded, Is.InRange(20, 1900), "the mutations are neither all harmless nor all fatal");
    }

    private static readonly string[] Fragments =
    [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "-1", "0", "9223372036854775807",
        "18446744073709551616", "1e9", "0.5", "null", "true",
        "F32", "F64", "U8", "BOOL", "I64", "dtype", "shape", "data_offsets", "__metadata__", "flare.order",
        "flare.buffers", " ", "\n", "/*", "é", "[[[[[[[[[[[[[[[[[[[[",
    ];

    private static byte[] Mutate(byte[] original, int headerLength, Random random)
    {
        List<byte> header = [.. original[8..(8 + headerLength)]], data = [.. original[(8 + headerLength)..]];
        long? claimed = null;
        for (var edits = random.Next(1, 4); edits > 0; edits--)
        {
            var at = random.Next(header.Count + 1);
            var fragment = Encoding.UTF8.GetBytes(Fragments[random.Next(Fragments.Length)]);
            switch (random.Next(10))
            {
                case 0 when at < header.Count: header[at] ^= (byte)(1 << random.Next(8)); break;
                case 1 when at < header.Count: header[at] = (byte)random.Next(256); break;
                case 2: header.InsertRange(at, fragment); break;
                case 3: header.RemoveRange(at, Math.Min(random.Next(20), header.Count - at)); break;
                case 4: header.InsertRange(at, header.GetRange(at, Math.Min(random.Next(200), header.Count - at)));
                break;
                case 5: header = [.. Digits(header, random)]; break;
                case 6 when data.Count > 0: data[random.Next(data.Count)] ^= (byte)(1 << random.Next(8)); break;
                case 7: data.RemoveRange(
                    data.Count - Math.Min(random.Next(10), data.Count), Math.Min(random.Next(1), data.Count)); break;
                case 8: claimed = random.Next(
                    4) switch { 0 => random.NextInt64(), 1 => random.Next(100_000_001), 2 => -1, _ => header.Count
                    + random.Next(-9, 10) }; break;
                default: data.AddRange(fragment); break;
            }
        }
        var file = Files.Of([.. header], [.. data]).ToArray();
        if (claimed is { } length) BinaryPrimitives.WriteInt64LittleEndian(file, length);
        return file;
    }

    // One of the header's numbers becomes another: the shape of an attack on offsets.
    private static byte[] Digits(List<byte> header, Random random)
    {
        var text = Encoding.Latin1.GetString([.. header]);
        var numbers = System.Text.RegularExpressions.Regex.Matches(text, @"(?<=[\[,])\d+(?=[\],])");
        if (numbers.Count == 0) return [.. header];
        var number = numbers[random.Next(numbers.Count)];
        var other = random.Next(4) switch
        {
            0 => random.NextInt64().ToString(CultureInfo.InvariantCulture),
            1 => random.Next(1 << 30).ToString(CultureInfo.InvariantCulture),
            2 => numbers[random.Next(numbers.Count)].Value,
            _ => (long.TryParse(number.Value, out var value) ? value + random.Next(-2, 3) : 0).ToString(
                CultureInfo.InvariantCulture),
        };
        return Encoding.Latin1.GetBytes(text[..number.Index] + other + text[(number.Index + number.Length)..]);
    }

    private static TensorLayout SmallMixed() => new(
        new("h", DType.Float16, [3]), new("w", DType.Float32, [2, 3]), new("m", DType.Bool, [5], TensorRole.Buffer),
        new("n", DType.Int64, [], TensorRole.Buffer), new("e", DType.BFloat16, [0, 7]), new("u", DType.UInt16, [4]));

    private static long Allocated(Action action)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        action();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static NUnit.Framework.Constraints.ContainsConstraint Refused(string complaint) =>
        Throws.InstanceOf<SafetensorsException>().With.Message.Contains(complaint);
}
