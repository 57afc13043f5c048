using System.Buffers;

namespace Flare.Transport;

/// <summary>
/// What a site and the process beside it say to each other, as docs/other-languages.md has it: maps in MessagePack,
/// before streams of tensors.
/// </summary>
internal static class ExternalWords
{
    public const uint Channel = 1;

    private const string Task = "task", Name = "name", Site = "site", Job = "job", Round = "round", Seed = "seed",
        Headers = "headers", Body = "body", Layouts = "layouts", Code = "code", Error = "error";

    private const string DType = "dtype", Shape = "shape", Role = "role";

    private const int MostLayouts = 64;
    private static readonly FlareMapLimits Limits = new() { MaxBytes = 1 << 20, MaxDepth = 72 };

    // Where tensors stand in a map is read before they are there.
    private static readonly StateDict[] Places =
        [.. Enumerable.Repeat(new StateDict(new TensorLayout()), MostLayouts)];

    /// <summary>A task, and the tensors that follow in their order.</summary>
    /// <exception cref="FlareException">It is above a limit.</exception>
    public static (byte[] Head, List<StateDict> Tensors) WriteTask(
        long number, string name, Shareable input, FLContext context)
    {
        var map = new FlareMap
        {
            [Task] = number, [Name] = name, [Site] = context.Identity, [Job] = context.JobId,
            [Round] = context.Round,
            [Seed] = (long)(context.Seed("external") >> 1), // a number that every language has
            [Headers] = input.Headers, [Body] = input.Body,
        };
        // The layouts come last and hold no tensors: a first writing finds out which there are.
        var tensors = new List<StateDict>();
        FlareMapCodec.Write(map, new ArrayBufferWriter<byte>(1024), tensors, Limits);
        if (tensors.Count > MostLayouts)
        {
            throw new FlareException(
                ErrorIds.ExternalProcess, $"A task for a process has tensors at {tensors.Count} places, and "
                + $"{MostLayouts} is the most: put them into fewer state dicts.");
        }
        map[Layouts] = FlareValue.List([.. tensors.Select(t => LayoutOf(t.Layout))]);
        var head = new ArrayBufferWriter<byte>(4096);
        FlareMapCodec.Write(map, head, [.. tensors], Limits);
        return (head.WrittenSpan.ToArray(), tensors);
    }

    /// <summary>The process is to leave a task.</summary>
    public static byte[] WriteCancel(long number)
    {
        var message = new ArrayBufferWriter<byte>(32);
        FlareMapCodec.Write(new() { ["say"] = "cancel", [Task] = number }, message);
        return message.WrittenSpan.ToArray();
    }

    /// <summary>Reads what stands before an answer's tensors; they are still to come.</summary>
    /// <exception cref="FlareException">It is malformed.</exception>
    public static FlareMap ReadHead(ReadOnlyMemory<byte> head) => FlareMapCodec.Read(head, Places, Limits);

    /// <summary>The number of the task that is answered.</summary>
    /// <exception cref="FlareException">There is none.</exception>
    public static long NumberOf(FlareMap head) => head[Task].AsInteger();

    /// <summary>The tensors that an answer brings; nothing is taken for them yet.</summary>
    /// <param name="head">What <see cref="ReadHead"/> has read.</param>
    /// <param name="length">Bytes that follow.</param>
    /// <exception cref="FlareException">They are malformed, or have not so many bytes.</exception>
    public static TensorLayout[] LayoutsOf(FlareMap head, long length)
    {
        var lists = head.TryGet(Layouts, out var value) ? value.AsList() : [];
        if (lists.Count > MostLayouts) throw Malformed($"{lists.Count} layouts, of at most {MostLayouts}");
        TensorLayout[] layouts = [.. lists.Select(ReadLayout)];
        Int128 bytes = 0;
        foreach (var layout in layouts)
            foreach (var spec in layout) bytes += spec.ByteLength;
        if (bytes != length)
            throw Malformed($"its layouts have {bytes} bytes of tensors, and {length} bytes follow");
        return layouts;
    }

    /// <summary>The answer, once its tensors are there.</summary>
    /// <exception cref="FlareException">It is malformed.</exception>
    public static Shareable ReadAnswer(ReadOnlyMemory<byte> head, IReadOnlyList<StateDict> tensors)
    {
        var map = FlareMapCodec.Read(head, tensors, Limits);
        if (map.TryGet(Error, out var error)) return Failed(map, error.AsText());
        var answer = new Shareable(map[Body].AsMap()) { ContentType = ContentTypes.Dxo };
        if (map.TryGet(Headers, out var headers))
            foreach (var (name, value) in headers.AsMap()) answer.Headers[name] = value;
        if (answer.ContentType == ContentTypes.Dxo) _ = Dxo.From(answer); // whether it is one
        return answer;
    }

    private static Shareable Failed(FlareMap map, string error)
    {
        var code = map.TryGet(Code, out var given) ? given.AsInteger() : (long)ReturnCode.ExecutionException;
        if (code is <= 0 or > int.MaxValue || !Enum.IsDefined((ReturnCode)code))
            throw Malformed($"the code {code} beside an error, which is none of {nameof(ReturnCode)}");
        return Shareable.Reply((ReturnCode)code, error);
    }

    private static FlareValue LayoutOf(TensorLayout layout) =>
        FlareValue.List([.. layout.Select(spec => (FlareValue)new FlareMap
        {
            [Name] = spec.Name, [DType] = (int)spec.DType,
            [Shape] = FlareValue.List([.. spec.Shape.Select(d => (FlareValue)d)]), [Role] = (int)spec.Role,
        })]);

    private static TensorLayout ReadLayout(FlareValue list)
    {
        try
        {
            return new(list.AsList().Select(item => ReadSpec(item.AsMap())));
        }
        catch (Exception e) when (e is ArgumentException or OverflowException)
        {
            throw Malformed($"a layout that is none ({e.Message})", e);
        }
    }

    private static TensorSpec ReadSpec(FlareMap map)
    {
        var role = map.TryGet(Role, out var given) ? given.AsInteger() : 0;
        return new(
            map[Name].AsText(), (DType)checked((byte)map[DType].AsInteger()),
            [.. map[Shape].AsList().Select(d => d.AsInteger())], (TensorRole)checked((byte)role));
    }

    public static FlareException Malformed(string what, Exception? inner = null) =>
        new(ErrorIds.MalformedMessage, what, inner);
}
