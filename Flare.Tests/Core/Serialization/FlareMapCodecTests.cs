using System.Buffers;
using Flare.Runtime;

namespace Flare.Tests.Core.Serialization;

public class FlareMapCodecTests
{
    // Each as Python's msgpack 1.0.3 packs {"v": value}.
    private static IEnumerable<TestCaseData> PythonVectors()
    {
        (string Name, FlareValue Value, string Hex)[] vectors =
        [
            ("nil", default, "c0"), ("true", true, "c3"), ("false", false, "c2"),
            ("0", 0, "00"), ("127", 127, "7f"), ("128", 128, "cc80"), ("255", 255, "ccff"), ("256", 256, "cd0100"),
            ("65535", 65535, "cdffff"), ("65536", 65536, "ce00010000"), ("2^32-1", uint.MaxValue, "ceffffffff"),
            ("2^32", 1L << 32, "cf0000000100000000"), ("2^63-1", long.MaxValue, "cf7fffffffffffffff"),
            ("-1", -1, "ff"), ("-32", -32, "e0"), ("-33", -33, "d0df"), ("-128", -128, "d080"),
            ("-129", -129, "d1ff7f"),
            ("-32768", -32768, "d18000"), ("-32769", -32769, "d2ffff7fff"), ("-2^31", int.MinValue, "d280000000"),
            ("-2^31-1", int.MinValue - 1L, "d3ffffffff7fffffff"), ("-2^63", long.MinValue, "d38000000000000000"),
            ("1.5", 1.5, "cb3ff8000000000000"), ("-0.0", -0.0, "cb8000000000000000"),
            ("1e300", 1e300, "cb7e37e43c8800759c"),
            ("empty text", "", "a0"), ("text", "site-1", "a6736974652d31"), ("Unicode", "é→𝄞", "a9c3a9e28692f09d849e"),
            ("31 characters", new string('x', 31), "bf" + Repeat("78", 31)),
            ("32 characters", new string('x', 32), "d920" + Repeat("78", 32)),
            ("256 characters", new string('x', 256), "da0100" + Repeat("78", 256)),
            ("65536 characters", new string('x', 65536), "db00010000" + Repeat("78", 65536)),
            ("no bytes", Array.Empty<byte>(), "c400"), ("bytes", new byte[] { 0, 255 }, "c40200ff"),
            ("256 bytes", new byte[256], "c50100" + Repeat("00", 256)),
            ("65536 bytes", new byte[65536], "c600010000" + Repeat("00", 65536)),
            ("empty list", FlareValue.List(), "90"), ("15 items", ListOf(15), "9f000102030405060708090a0b0c0d0e"),
            ("16 items", ListOf(16), "dc0010000102030405060708090a0b0c0d0e0f"),
            ("65536 items", FlareValue.List(new FlareValue[65536]), "dd00010000" + Repeat("c0", 65536)),
            ("empty map", new FlareMap(), "80"),
        ];
        return vectors.Select(v => new TestCaseData(v.Value, "81a176" + v.Hex).SetArgDisplayNames(v.Name));
    }

    [TestCaseSource(nameof(PythonVectors))]
    public void Writes_and_reads_what_Python_packs(FlareValue value, string hex)
    {
        Assert.That(Convert.ToHexStringLower(Encode(new() { ["v"] = value })), Is.EqualTo(hex));
        var read = FlareMapCodec.Read(Convert.FromHexString(hex));
        Assert.That(read.Count, Is.EqualTo(1));
        Assert.That(read["v"].Kind, Is.EqualTo(value.Kind));
        Assert.That(read["v"] == value);
    }

    [Test]
    public void Nested_maps_keep_the_order_of_names_and_match_Python()
    {
        var map = new FlareMap
        {
            ["round"] = 3,
            ["sites"] = FlareValue.List("a", "b"),
            ["metrics"] = new FlareMap { ["accuracy"] = 0.5, ["loss"] = default },
            ["final"] = false,
            ["key"] = new byte[] { 1, 2 },
        };
        const string python =
            "85a5726f756e6403a5736974657392a161a162a76d65747269637382a86163637572616379cb3fe0000000000000a46c6f7373c0a566696e616cc2a36b6579c4020102";
        Assert.That(Convert.ToHexStringLower(Encode(map)), Is.EqualTo(python));
        var read = FlareMapCodec.Read(Convert.FromHexString(python));
        Assert.That(read.ContentEquals(map));
        Assert.That(read.Select(i => i.Key), Is.EqualTo(map.Select(i => i.Key)));
    }

    [TestCase(16, "de0010"), TestCase(1024, "de0400"), TestCase(65536, "df00010000")]
    public void Maps_of_many_names_take_the_wider_heads(int names, string head)
    {
        var limits = new FlareMapLimits { MaxNames = 1 << 17 };
        var map = new FlareMap();
        for (var i = 0; i < names; i++) map[$"k{i}"] = i;
        var bytes = Encode(map, limits: limits);
        Assert.That(Convert.ToHexStringLower(bytes), Does.StartWith(head));
        Assert.That(FlareMapCodec.Read(bytes, limits: limits).ContentEquals(map));
    }

    [TestCase("cc05", 5), TestCase("cd0005", 5), TestCase("ce00000005", 5), TestCase("cf0000000000000005", 5)]
    [TestCase("d005", 5), TestCase("d1fffb", -5), TestCase("d2fffffffb", -5), TestCase("d3fffffffffffffffb", -5)]
    public void Reads_integers_of_any_width(string hex, long expected) =>
        Assert.That(FlareMapCodec.Read(Convert.FromHexString("81a176" + hex))["v"].AsInteger(), Is.EqualTo(expected));

    [Test]
    public void Reads_a_float_of_32_bits_exactly() =>
        Assert.That(
            FlareMapCodec.Read(Convert.FromHexString("81a176ca3dcccccd"))["v"].AsNumber(), Is.EqualTo((double)0.1f));

    [Test]
    public void Numbers_keep_every_bit()
    {
        foreach (var bits in new ulong[] { 0x7ff8_0000_0000_0001, 0xfff0_0000_0000_0000, 1, 0x8000_0000_0000_0000 })
        {
            var read = FlareMapCodec.Read(
                Encode(new() { ["v"] = BitConverter.UInt64BitsToDouble(bits) }))["v"].AsNumber();
            Assert.That(BitConverter.DoubleToUInt64Bits(read), Is.EqualTo(bits));
        }
    }

    [Test]
    public void Tensors_travel_apart_once_each_and_stand_as_an_index()
    {
        var (first, second) = (Model(), Model());
        var map = new FlareMap { ["a"] = second, ["b"] = FlareValue.List(first, second) };
        List<StateDict> tensors = [first];

        var bytes = Encode(map, tensors);

        Assert.That(tensors, Is.EqualTo(new[] { first, second }));
        Assert.That(Convert.ToHexStringLower(bytes), Is.EqualTo("82a161d60100000001a16292d60100000000d60100000001"));
        var read = FlareMapCodec.Read(bytes, tensors);
        Assert.That(read["a"].AsTensors(), Is.SameAs(second));
        Assert.That(read["b"].AsList()[0].AsTensors(), Is.SameAs(first));
    }

    [Test]
    public void Tensors_that_cannot_be_carried_are_refused_by_name()
    {
        var error = Assert.Throws<FlareException>(() => Encode(new() { ["weights"] = Model() }))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.MalformedMessage));
        Assert.That(error.Message, Does.Contain("'weights'"));
    }

    [Test]
    public void Text_with_half_a_surrogate_pair_is_refused_by_name()
    {
        var error = Assert.Throws<FlareException>(() => Encode(new() { ["note"] = "a\ud834" }))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.MalformedMessage));
        Assert.That(error.Message, Does.Contain("'note'").And.Contain("index 1"));
    }

    [TestCase("", "byte 0 of 0", TestName = "Nothing at all")]
    [TestCase("c0", "map is expected", TestName = "No map")]
    [TestCase("81a176", "where more is due", TestName = "No value")]
    [TestCase("8100c0", "no text", TestName = "A name that is no text")]
    [TestCase("81a0c0", "empty", TestName = "An empty name")]
    [TestCase("82a176c0a176c0", "twice", TestName = "A name twice")]
    [TestCase("81a176c0c0", "1 bytes after the end", TestName = "Bytes after the end")]
    [TestCase("81a176c1", "0xc1", TestName = "The code that is never used")]
    [TestCase("81a176d60200000000", "extension type 2", TestName = "Another extension")]
    [TestCase("81a176d6ff00000000", "extension type -1", TestName = "A timestamp")]
    [TestCase("81a176c70401 00000000", "0xc7", TestName = "An extension of another width")]
    [TestCase("81a176d60100000000", "0 came along", TestName = "Tensors that are not there")]
    [TestCase("81a176d601ffffffff", "4294967295", TestName = "Tensors far beyond those there")]
    [TestCase("81a176cf8000000000000000", "2^63", TestName = "An integer of 64 bits")]
    [TestCase("81a176a1ff", "UTF-8", TestName = "Text that is not UTF-8")]
    [TestCase("81a176a3eda0b4", "UTF-8", TestName = "A surrogate in UTF-8")]
    [TestCase("81a176a2c080", "UTF-8", TestName = "UTF-8 longer than need be")]
    [TestCase("81a176cd01", "where more is due", TestName = "A cut integer")]
    [TestCase("81a176c6ffffffff00", "length above", TestName = "Bytes that are not there")]
    [TestCase("81a176dbffffffff00", "length above", TestName = "Text that is not there")]
    [TestCase("81a176ddffffffff00", "length or count is above", TestName = "Items that are not there")]
    [TestCase("81a176dfffffffff00", "length or count is above", TestName = "Names that are not there")]
    [TestCase("81a176820101", "length or count is above", TestName = "More names than bytes")]
    [TestCase("81a176c680000000", "length above", TestName = "A length of 2^31")]
    [TestCase("81a176db7fffffff00", "where more is due", TestName = "Text of almost 2^31 bytes")]
    [TestCase("81a176d6010000", "where more is due", TestName = "A cut extension")]
    [TestCase("81a176d9ff78", "where more is due", TestName = "Cut text")]
    public void Malformed_bytes_are_refused(string hex, string reason)
    {
        var bytes = Convert.FromHexString(hex.Replace(" ", ""));
        var error = Assert.Throws<FlareException>(() => FlareMapCodec.Read(bytes))!;
        Assert.That(error.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes));
        Assert.That(error.Message, Does.Contain(reason));
    }

    private static IEnumerable<TestCaseData> Limits()
    {
        FlareMap deep = [];
        for (var i = 1; i < 3; i++) deep = new() { ["m"] = FlareValue.List(deep) };
        yield return new(deep, new FlareMapLimits { MaxDepth = 5 }, new FlareMapLimits { MaxDepth = 4 }, "MaxDepth");
        FlareMap items = new() { ["a"] = FlareValue.List(1, 2, 3), ["b"] = new FlareMap { ["c"] = 1 } };
        yield return new(items, new FlareMapLimits { MaxItems = 6 }, new FlareMapLimits { MaxItems = 5 }, "MaxItems");
        yield return new(items, new FlareMapLimits { MaxNames = 2 }, new FlareMapLimits { MaxNames = 1 }, "MaxNames");
        FlareMap text = new() { ["t"] = "éé" };
        yield return new(
            text, new FlareMapLimits { MaxTextBytes = 4 }, new FlareMapLimits { MaxTextBytes = 3 }, "MaxTextBytes");
        FlareMap name = new() { ["long"] = 1 };
        yield return new(
            name, new FlareMapLimits { MaxTextBytes = 4 }, new FlareMapLimits { MaxTextBytes = 3 }, "MaxTextBytes");
        FlareMap bytes = new() { ["b"] = new byte[10] };
        yield return new(bytes, new FlareMapLimits { MaxBytes = 15 }, new FlareMapLimits { MaxBytes = 14 }, "MaxBytes");
    }

    [TestCaseSource(nameof(Limits))]
    public void A_limit_holds_in_both_directions_and_is_named(
        FlareMap map, FlareMapLimits enough, FlareMapLimits tooLow, string limit)
    {
        var encoded = Encode(map, limits: enough);
        Assert.That(FlareMapCodec.Read(encoded, limits: enough).ContentEquals(map));

        Assert.That(() => Encode(map, limits: tooLow), Throws.TypeOf<FlareException>().With.Message.Contains(limit));
        Assert.That(
            () => FlareMapCodec.Read(encoded, limits: tooLow),
            Throws.TypeOf<FlareException>().With.Message.Contains(limit));
    }

    [Test]
    public void A_map_that_holds_itself_is_refused()
    {
        var map = new FlareMap();
        map["self"] = map;
        Assert.That(() => Encode(map), Throws.TypeOf<FlareException>().With.Message.Contains("MaxDepth"));
    }

    [TestCase(0), TestCase(129)]
    public void A_depth_that_the_stack_may_not_bear_cannot_be_asked_for(int depth) =>
        Assert.That(() => new FlareMapLimits { MaxDepth = depth }, Throws.TypeOf<ArgumentOutOfRangeException>());

    [Test]
    public void The_deepest_depth_is_borne_on_a_small_stack()
    {
        var limits = new FlareMapLimits { MaxDepth = 128 };
        FlareMap map = [];
        for (var i = 1; i < 128; i++) map = new() { ["m"] = map };
        var read = 0;
        var thread = new Thread(
            () => read = FlareMapCodec.Read(Encode(map, limits: limits), limits: limits).Count,
            maxStackSize: 512 << 10);
        thread.Start();
        thread.Join();
        Assert.That(read, Is.EqualTo(1));
    }

    [Test]
    public void Segments_of_one_byte_read_as_the_whole()
    {
        var map = new FlareMap { ["text"] = "site-1", ["list"] = FlareValue.List(1, 2.5, "x") };
        var read = FlareMapCodec.Read(Segments(Encode(map)));
        Assert.That(read.ContentEquals(map));
    }

    [Test]
    public void Every_cut_and_every_flipped_bit_reads_alike_in_one_piece_and_byte_by_byte()
    {
        var map = new FlareMap
        {
            ["text"] = "é→𝄞", ["list"] = FlareValue.List(1, -129, 1L << 40, 2.5, default, true),
                ["bytes"] = new byte[] { 1, 2, 3 },
            ["map"] = new FlareMap { ["long"] = new string('x', 40) }, ["model"] = Model(),
        };
        List<StateDict> tensors = [];
        var whole = Encode(map, tensors);
        for (var length = 0; length < whole.Length; length++)
            Assert.That(Reads(whole[..length], tensors), Is.Null, $"cut at {length}");
        var read = 0;
        for (var bit = 0; bit < 8 * whole.Length; bit++)
        {
            var bytes = whole.ToArray();
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            if (Reads(bytes, tensors) is not null) read++;
        }
        Assert.That(read, Is.InRange(100, 8 * whole.Length - 100));
    }

    /// <summary>
    /// What the bytes read as, the same in one piece and in pieces of one byte; null where both are refused.
    /// </summary>
    private static FlareMap? Reads(byte[] bytes, List<StateDict> tensors)
    {
        var (one, pieces) = (Try(new(bytes)), Try(Segments(bytes)));
        Assert.That(one is null, Is.EqualTo(pieces is null), Convert.ToHexString(bytes));
        if (one is not null) Assert.That(Encode(one, [.. tensors]), Is.EqualTo(Encode(pieces!, [.. tensors])));
        return one;

        FlareMap? Try(ReadOnlySequence<byte> input)
        {
            try
            {
                return FlareMapCodec.Read(input, tensors);
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes));
                return null;
            }
        }
    }

    [Test]
    public void One_map_of_very_many_names_is_read_in_no_time()
    {
        // 65,535 names took 22 s when each was looked for among all before it, twice.
        const int names = 200_000;
        var limits = new FlareMapLimits { MaxNames = names };
        var map = new FlareMap();
        for (var i = 0; i < names; i++) map[$"k{i}"] = i;
        var bytes = Encode(map, limits: limits);
        var read = 0;
        var thread = new Thread(() => read = FlareMapCodec.Read(bytes, limits: limits).Count);
        thread.Start();
        Assert.That(thread.Join(TimeSpan.FromSeconds(30)));
        Assert.That(read, Is.EqualTo(names));
    }

    [Test]
    public void The_limit_of_bytes_is_exact_for_every_form()
    {
        var random = new Random(3);
        for (var i = 0; i < 300; i++)
        {
            var map = RandomMap(random, depth: 3, null);
            map["some"] = new byte[random.Next(70_000)];
            var length = Encode(map).Length;
            Assert.That(Encode(map, limits: new() { MaxBytes = length }), Has.Length.EqualTo(length));
            Assert.That(
                () => Encode(map, limits: new() { MaxBytes = length - 1 }),
                Throws.TypeOf<FlareException>().With.Message.Contains("MaxBytes"));
        }
    }

    [Test]
    public void Random_maps_survive_the_round_trip()
    {
        var random = new Random(7);
        for (var i = 0; i < 500; i++)
        {
            List<StateDict> tensors = [];
            var map = RandomMap(random, depth: 4, Model());
            var bytes = Encode(map, tensors);
            var read = FlareMapCodec.Read(bytes, tensors);
            Assert.That(read.ContentEquals(map), $"map {i}");
            Assert.That(Encode(read, []), Is.EqualTo(bytes), $"map {i}: one value, one encoding");
        }
    }

    [Test]
    public void Mutated_bytes_read_or_fail_with_the_one_exception_and_take_little_memory()
    {
        var random = new Random(11);
        var (read, refused) = (0, 0);
        for (var i = 0; i < 8_000; i++)
        {
            var bytes = Encode(RandomMap(random, depth: 3, null));
            for (var m = random.Next(1, 4); m > 0; m--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0) bytes = bytes[..random.Next(bytes.Length)];
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                if (i % 2 == 0) FlareMapCodec.Read(bytes.AsMemory());
                else FlareMapCodec.Read(bytes);
                read++;
            }
            catch (FlareException e)
            {
                Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.MalformedBytes));
                refused++;
            }
            // An item takes a byte and, in a list that is then copied, 48; the rest is the exception.
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(128 * bytes.Length + 65_536));
        }
        Assert.That(read, Is.GreaterThan(200));
        Assert.That(refused, Is.GreaterThan(2_000));
    }

    internal static FlareMap RandomMap(Random random, int depth, StateDict? tensors)
    {
        var map = new FlareMap();
        for (var i = random.Next(6); i > 0; i--)
            map[$"{(char)('a' + random.Next(26))}{new string('é', random.Next(20))}"] = RandomValue(
                random, depth, tensors);
        return map;
    }

    private static FlareValue RandomValue(Random random, int depth, StateDict? tensors) =>
        random.Next(depth > 0 ? 9 : 6) switch
    {
        0 => default,
        1 => random.Next(2) == 0,
        2 => random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64),
        3 => RandomNumber(random),
        4 => new string((char)random.Next(1, 0xd800), random.Next(300)),
        5 => new byte[random.Next(300)],
        6 =>
        FlareValue.List([.. Enumerable.Range(0, random.Next(20)).Select(_ => RandomValue(random, depth - 1, tensors))]),
        7 => RandomMap(random, depth - 1, tensors),
        _ => tensors,
    };

    // Not NaN, of which Python has one only.
    private static double RandomNumber(Random random)
    {
        var number = BitConverter.Int64BitsToDouble(random.NextInt64());
        return double.IsNaN(number) ? 0.5 : number;
    }

    private static StateDict Model() => new(new TensorLayout(new TensorSpec("w", DType.Float32, [2])));

    private static FlareValue ListOf(int count) =>
        FlareValue.List([.. Enumerable.Range(0, count).Select(i => (FlareValue)i)]);

    private static string Repeat(string hex, int count) => string.Concat(Enumerable.Repeat(hex, count));

    private static byte[] Encode(FlareMap map, List<StateDict>? tensors = null, FlareMapLimits? limits = null)
    {
        var output = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(map, output, tensors, limits);
        return output.WrittenSpan.ToArray();
    }

    private static ReadOnlySequence<byte> Segments(byte[] bytes)
    {
        if (bytes.Length == 0) return default;
        var first = new Segment(bytes.AsMemory(0, 1), null);
        var last = first;
        for (var i = 1; i < bytes.Length; i++) last = new Segment(bytes.AsMemory(i, 1), last);
        return new(first, 0, last, 1);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            Memory = memory;
            if (previous is null) return;
            previous.Next = this;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
        }
    }
}
