using System.Text.Json;

namespace Flare;

/// <summary>
/// Reads a safetensors header's JSON. Nothing in it is trusted: each name once, each tensor's bytes as its shape asks,
/// all data without gap or overlap. <see cref="SafetensorsException"/> is the only exception.
/// </summary>
internal ref struct SafetensorsParser
{
    // A tensor's entry is at depth three; what deeper things an unknown field may hold is skipped.
    private static readonly JsonReaderOptions Strict = new() { MaxDepth = 16 };

    private readonly string _source;
    private Utf8JsonReader _reader;

    private readonly record struct Entry(string Name, DType DType, long[] Shape, long Begin, long End);

    private SafetensorsParser(ReadOnlySpan<byte> json, string source)
    {
        _source = source;
        _reader = new(json, Strict);
    }

    /// <summary>Reads a header.</summary>
    /// <param name="json">The header without its length.</param>
    /// <param name="source">The file, for messages.</param>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, string source)
    {
        var parser = new SafetensorsParser(json, source);
        if (json is not [(byte)'{', ..]) throw parser.Malformed("the header is no JSON object");
        return parser.Guarded("the header", static (ref self) => self.Header());
    }

    private delegate T Rule<T>(ref SafetensorsParser parser);

    private T Guarded<T>(string what, Rule<T> rule)
    {
        try
        {
            _reader.Read();
            var result = rule(ref this);
            // What follows can only be blanks.
            _reader.Read();
            return result;
        }
        catch (JsonException e)
        {
            throw Malformed($"{what} is not valid JSON ({e.Message})", e);
        }
        catch (InvalidOperationException e)
        {
            // The reader's word for a string that is no UTF-8, or holds half a surrogate pair.
            throw Malformed($"{what} holds a name that is no valid Unicode", e);
        }
    }

    private SafetensorsHeader Header()
    {
        var entries = new List<Entry>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var metadata = new Dictionary<string, byte[]>();
        while (NextField() is { } name)
        {
            if (!names.Add(name)) throw Malformed($"the name '{PlainText.Cut(name)}' occurs twice");
            RequireFew(entries.Count, "tensors");
            if (name == SafetensorsHeader.Metadata) metadata = MetadataMap();
            else entries.Add(TensorEntry(name));
        }
        return Arranged(
            entries, NamesIn(metadata, SafetensorsHeader.Buffers), NamesIn(metadata, SafetensorsHeader.Order));
    }

    // Stands on a field's value and returns its name; null behind the last.
    private string? NextField()
    {
        _reader.Read();
        if (_reader.TokenType != JsonTokenType.PropertyName) return null;
        var name = _reader.GetString();
        _reader.Read();
        return name;
    }

    // An entry of a few bytes becomes an object of hundreds: a header may not hold as many as it has room for.
    private readonly void RequireFew(int sofar, string what)
    {
        if (sofar < SafetensorsHeader.MaxEntries) return;
        throw new SafetensorsException(
            Invariant(
                $"{_source}: there are more than {SafetensorsHeader.MaxEntries:N0} {what}, more than Flare reads from ")
                    + "one file. "
            + "Save the model in several files.");
    }

    // The entries that are Flare's own, as UTF-8; of the others the names, once their values have proved to be text.
    private Dictionary<string, byte[]> MetadataMap()
    {
        var metadata = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        // The format's reference reads null as none.
        if (_reader.TokenType == JsonTokenType.Null) return metadata;
        if (_reader.TokenType != JsonTokenType.StartObject)
            throw Malformed($"{SafetensorsHeader.Metadata} is no JSON object");
        while (NextField() is { } key)
        {
            if (_reader.TokenType != JsonTokenType.String)
                throw Malformed($"'{PlainText.Cut(key)}' in {SafetensorsHeader.Metadata} is no string");
            RequireFew(metadata.Count, "entries of metadata");
            var value = Value();
            if (!metadata.TryAdd(key, key is SafetensorsHeader.Buffers or SafetensorsHeader.Order ? value : []))
                throw Malformed($"'{PlainText.Cut(key)}' occurs twice in {SafetensorsHeader.Metadata}");
        }
        return metadata;
    }

    private readonly byte[] Value()
    {
        var text = new byte[_reader.ValueSpan.Length];
        var length = _reader.CopyString(text); // unescaped it is no longer than it was
        Array.Resize(ref text, length);
        return text;
    }

    private Entry TensorEntry(string name)
    {
        if (_reader.TokenType != JsonTokenType.StartObject)
            throw Malformed($"tensor '{PlainText.Cut(name)}' is described by no JSON object");
        string? dtype = null;
        long[]? shape = null, offsets = null;
        while (NextField() is { } field)
        {
            switch (field)
            {
                case "dtype" when dtype is null
                    && _reader.TokenType == JsonTokenType.String: dtype = _reader.GetString()!; break;
                case "shape" when shape is null: shape = Numbers(TensorSpec.MaxRank, field, name); break;
                case "data_offsets" when offsets is null: offsets = Numbers(2, field, name); break;
                case "dtype" or "shape"
                    or "data_offsets": throw Malformed(
                        $"the {field} of tensor '{PlainText.Cut(name)}' is given twice, or is no string");
                // The format's reference implementation passes over fields it does not know, too.
                default: _reader.Skip(); break;
            }
        }
        if (dtype is null || shape is null || offsets is not [var begin, var end])
            throw Malformed($"tensor '{PlainText.Cut(name)}' lacks its dtype, its shape or its two data_offsets");
        if (SafetensorsHeader.DTypeOf(dtype) is not { } known)
            throw new SafetensorsException(
                $"{_source}: tensor '{PlainText.Cut(name)}' has the dtype '{PlainText.Cut(dtype)}', which Flare does "
                    + "not hold. Convert it, to F32 for instance, before saving it.");
        return new(name, known, shape, begin, end);
    }

    private long[] Numbers(int limit, string field, string tensor)
    {
        if (_reader.TokenType != JsonTokenType.StartArray)
            throw Malformed($"the {field} of tensor '{PlainText.Cut(tensor)}' is no JSON array");
        Span<long> numbers = stackalloc long[TensorSpec.MaxRank];
        var count = 0;
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (count == limit)
                throw Malformed($"the {field} of tensor '{PlainText.Cut(tensor)}' has more than {limit} numbers");
            if (_reader.TokenType != JsonTokenType.Number || !_reader.TryGetInt64(out var number) || number < 0)
                throw Malformed(
                    $"the {field} of tensor '{PlainText.Cut(tensor)}' holds what is no integer from 0 to 2^63 - 1");
            numbers[count++] = number;
        }
        return numbers[..count].ToArray();
    }

    private readonly string[] NamesIn(Dictionary<string, byte[]> metadata, string key) =>
        metadata.TryGetValue(key, out var json)
            ? new SafetensorsParser(json, _source).Guarded(key, static (ref self) => self.Names())
            : [];

    private string[] Names()
    {
        var names = new List<string>();
        if (_reader.TokenType != JsonTokenType.StartArray)
            throw Malformed("a list of names in the metadata is no JSON array");
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.String)
                throw Malformed("a list of names in the metadata holds what is no name");
            RequireFew(names.Count, "names in a list of the metadata");
            names.Add(_reader.GetString()!);
        }
        return [.. names];
    }

    // Checks each tensor's bytes against its shape, and all against each other; then puts the tensors in the layout's
    // order.
    private readonly SafetensorsHeader Arranged(List<Entry> entries, string[] buffers, string[] order)
    {
        var roles = buffers.ToHashSet(StringComparer.Ordinal);
        var inFile = new TensorSpec[entries.Count];
        long position = 0;
        foreach (var (i, entry) in entries.OrderBy(entry => entry.Begin).ThenBy(entry => entry.End).Index())
        {
            var spec = inFile[i] = Spec(entry, roles.Contains(entry.Name) ? TensorRole.Buffer : TensorRole.Parameter);
            if (entry.Begin != position)
                throw Malformed(
                    $"the data of tensor '{PlainText.Cut(entry.Name)}' begins at {entry.Begin} where {position} is "
                        + "due, for data may neither overlap nor leave gaps");
            if (entry.End - entry.Begin != spec.ByteLength)
                throw Malformed(
                    $"tensor '{PlainText.Cut(entry.Name)}' is {spec.Kind}, {spec.ByteLength} bytes, but its "
                        + $"data_offsets span {entry.End - entry.Begin}");
            position = entry.End;
        }

        // Tools keep the metadata when they add or drop tensors: unknown names are passed over, unlisted tensors come
        // last.
        var rank = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var name in order)
            if (!rank.TryAdd(name, rank.Count))
                throw Malformed($"'{PlainText.Cut(name)}' occurs twice in {SafetensorsHeader.Order}");
        int[] places =
            [.. Enumerable.Range(0, inFile.Length).OrderBy(i => rank.GetValueOrDefault(inFile[i].Name, int.MaxValue))];
        var dataOrder = new int[places.Length];
        for (var place = 0; place < places.Length; place++) dataOrder[places[place]] = place;
        return new(Layout(places.Select(i => inFile[i])), dataOrder, position);
    }

    // What anybody who makes a spec or a layout is told, under this format's exception.
    private readonly TensorSpec Spec(Entry entry, TensorRole role)
    {
        try
        {
            return new(entry.Name, entry.DType, entry.Shape, role);
        }
        catch (ArgumentException e)
        {
            throw Malformed($"tensor '{PlainText.Cut(entry.Name)}' cannot be held: {e.Message}", e);
        }
    }

    private readonly TensorLayout Layout(IEnumerable<TensorSpec> specs)
    {
        try
        {
            return new(specs);
        }
        catch (ArgumentException e)
        {
            throw Malformed($"the tensors together cannot be held: {e.Message}", e);
        }
    }

    private readonly SafetensorsException Malformed(string complaint, Exception? inner = null) =>
        new($"{_source}: {complaint}. The file is damaged or was not written as safetensors; save it again.", inner);
}
