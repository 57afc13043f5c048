using System.Buffers;
using System.Buffers.Binary;
using Flare.Runtime;
using MessagePack;

namespace Flare.Tests.Transport.Frames;

/// <summary>
/// Messages of a job, made from docs/protocol.md, with mutations that know what they are. Shared with the command that
/// does millions.
/// </summary>
internal static class LinkMessageFuzz
{
    /// <summary>
    /// Bytes that reading a message may allocate for each of its own, beside <see cref="PerMessage"/>.
    /// </summary>
    public const int PerByte = 24;

    /// <summary>Bytes that reading any message may allocate.</summary>
    public const int PerMessage = 16_000;

    private static readonly FrameKind[] Kinds = Enum.GetValues<FrameKind>();
    private static readonly string[] Names =
    [
        "process", "job", "seed", "version", "layout", "policy", "sha256", "bytes", "headers", "body", "state", "type",
        "helloNeeded", "reason", "task", "contents", "path", "tensors", "refusal",
    ];

    /// <summary>Reads so many mutations.</summary>
    /// <returns>Bytes fed, and bytes allocated.</returns>
    /// <exception cref="InvalidOperationException">One escaped by an exception, or allocated too much.</exception>
    public static (long Fed, long Allocated) Run(long count, int seed)
    {
        var random = new Random(seed);
        long fed = 0, allocated = 0;
        for (long i = 0; i < count; i++)
        {
            var (head, bytes) = Mutated(random);
            fed += bytes.Length;
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Hear(head, bytes, random.Next(1, 200));
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"mutation {i} of seed {seed} escaped: {e.Message}", e);
            }
            var took = GC.GetAllocatedBytesForCurrentThread() - before;
            allocated += took;
            // A head may ask for tensors of its own length, which its link has compared with what it takes.
            var allowed = PerMessage + PerByte * Math.Max(bytes.Length, Parsed(head)?.Length ?? 0);
            if (took > allowed)
                throw new InvalidOperationException($"mutation {i} of seed {seed}: {took} bytes for {bytes.Length}");
        }
        return (fed, allocated);
    }

    /// <summary>A result with so many bytes of tensors, as a site would send it.</summary>
    public static byte[] Result(int bytes)
    {
        using var tensors = new StateDict(new TensorLayout(new TensorSpec("w", DType.UInt8, [bytes])));
        return Message(
            Layouts(("w", (int)DType.UInt8, [bytes])),
            new() { ["headers"] = new FlareMap(), ["body"] = new FlareMap { ["weights"] = tensors } }, [tensors]);
    }

    /// <summary>Reads a message as a link does, in parts of a size.</summary>
    public static void Hear(byte[] head, byte[] bytes, int step)
    {
        if (Parsed(head) is not { } read) return;
        var reader = new LinkMessageReader("job", read);
        for (var at = 0; at < bytes.Length; at += step)
            reader.Append(bytes.AsSpan(at, Math.Min(step, bytes.Length - at)));
        reader.Complete(read);
    }

    /// <summary>The head of a result that is as long as these bytes.</summary>
    public static byte[] HeadOf(byte[] result)
    {
        var head = new byte[FrameHead.Size];
        new FrameHead(FrameKind.TaskResult, 1, 1, 1, 1, 0, result.Length).Write(head);
        return head;
    }

    private static FrameHead? Parsed(byte[] bytes)
    {
        try
        {
            return FrameHead.Read(bytes);
        }
        catch (FlareException e) when (e.ErrorId == ErrorIds.MalformedBytes)
        {
            return null; // the one exception that a head may end in
        }
    }

    private static (byte[] Head, byte[] Bytes) Mutated(Random random)
    {
        var count = random.Next(3) == 0 ? random.Next(1, 4) : 0;
        var specs = Enumerable.Range(0, count).Select(i => ($"t{i}", random.Next(4) == 0 ? random.Next(256)
            : (int)DType.UInt8, new long[] { random.Next(8) == 0 ? Strange(random) : random.Next(64) })).ToArray();
        List<StateDict> dicts =
        [
            .. specs.Where(s => s.Item2 == (int)DType.UInt8 && s.Item3[0] is >= 0 and < 64).Take(1).Select(
                s => new StateDict(new TensorLayout(new TensorSpec(s.Item1, DType.UInt8, s.Item3)))),
        ];
        var map = Map(random, 0);
        if (dicts.Count > 0) map["tensors"] = dicts[0];
        var bytes = Message(count == 0 ? [] : Layouts(specs), map, dicts);
        for (var flips = random.Next(4); flips > 0; flips--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        if (random.Next(6) == 0)
        {
            // Lengths that lie.
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * random.Next(2)), (int)Strange(random));
        }
        if (random.Next(4) == 0) bytes = bytes[..random.Next(bytes.Length)];
        var length = random.Next(5) == 0 ? Math.Max(0, bytes.Length + random.Next(-8, 64)) : bytes.Length;
        var head = new byte[FrameHead.Size];
        new FrameHead(Kinds[random.Next(Kinds.Length)], 1, 1, random.Next(3), random.Next(9), 0, length).Write(head);
        if (random.Next(8) == 0) head[random.Next(head.Length - 8)] = (byte)random.Next(256);
        foreach (var dict in dicts) dict.Dispose();
        return (head, bytes);
    }

    private static FlareMap Map(Random random, int depth)
    {
        var map = new FlareMap();
        for (var i = random.Next(6); i > 0; i--) map[Names[random.Next(Names.Length)]] = Value(random, depth);
        return map;
    }

    private static FlareValue Value(Random random, int depth) => random.Next(depth > 3 ? 5 : 7) switch
    {
        0 => Strange(random),
        1 => random.NextDouble(),
        2 => random.Next(2) == 0,
        3 => new string((char)random.Next('a', 'z'), random.Next(40)),
        4 => new byte[random.Next(40)],
        5 => FlareValue.ListOf([.. Enumerable.Range(0, random.Next(4)).Select(_ => Value(random, depth + 1))]),
        _ => Map(random, depth + 1),
    };

    private static long Strange(Random random) => random.Next(6) switch
    {
        0 => 0, 1 => -1, 2 => long.MaxValue, 3 => int.MaxValue, _ => random.Next(2000),
    };

    private static byte[] Message(byte[] layouts, FlareMap map, List<StateDict> tensors)
    {
        var values = new ArrayBufferWriter<byte>();
        var carried = new List<StateDict>();
        FlareMapCodec.Write(map, values, carried);
        var bytes = new byte[8 + layouts.Length + values.WrittenCount + tensors.Sum(t => (int)t.Layout.ByteLength)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, layouts.Length);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), values.WrittenCount);
        layouts.CopyTo(bytes, 8);
        values.WrittenSpan.CopyTo(bytes.AsSpan(8 + layouts.Length));
        return bytes;
    }

    private static byte[] Layouts(params (string Name, int DType, long[] Shape)[] tensors)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(output);
        writer.WriteArrayHeader(1);
        writer.WriteArrayHeader(tensors.Length);
        foreach (var (name, dtype, shape) in tensors)
        {
            writer.WriteArrayHeader(3 + shape.Length);
            writer.Write(name);
            writer.Write((byte)dtype);
            writer.Write((byte)0);
            foreach (var dimension in shape) writer.Write(dimension);
        }
        writer.Flush();
        return output.WrittenSpan.ToArray();
    }
}
