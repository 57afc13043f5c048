using System.Buffers;

namespace Flare.Crypto;

/// <summary>
/// A global model as the server has it: tensors of bytes that hold the ciphertext sum of each part, one that describes
/// the model, and the tensors that travel in the clear. It is a state dict like any other, so it goes through journal,
/// files and messages, and a key holder can open it on its own.
/// </summary>
internal sealed record EncryptedModel
{
    /// <summary>Name of the description; the parts append <c>.0</c>, <c>.1</c>, ….</summary>
    private const string Name = EncryptedForm.TensorName;
    private const int Version = 1;

    /// <summary>The plain model.</summary>
    public required ModelPlan Plan { get; init; }

    /// <summary>The job that made it.</summary>
    public required string Job { get; init; }

    /// <summary>How many sums the job has made of it, this one included: rounds, counted on over workflows.</summary>
    public required long Number { get; init; }

    /// <summary>The number of steps that stands for a weight of 1.</summary>
    public required int Reference { get; init; }

    /// <summary>The most steps that a site has stated so far.</summary>
    public required int MostSteps { get; init; }

    public AggregationRound Label(int part) => Plan.Label(Job, Number, Reference, part);

    public static bool Is(StateDict model) => EncryptedForm.Is(model.Layout);

    public static bool IsReserved(string tensor)
        => tensor == Name || tensor.StartsWith(Name + ".", StringComparison.Ordinal);

    public static string PartName(int part) => $"{Name}.{part}";

    /// <summary>The tensors of an upload: the parts, then what travels in the clear.</summary>
    public static IEnumerable<TensorSpec> UploadSpecs(ModelPlan plan, Func<int, long> partBytes) =>
        Enumerable.Range(0, plan.Parts).Select(
            part => new TensorSpec(PartName(part), DType.UInt8, [partBytes(part)])).Concat(plan.Plain);

    /// <summary>A state dict with the description in place, and zeros elsewhere.</summary>
    public StateDict Create(Func<int, long> partBytes)
    {
        var description = Describe();
        var model = new StateDict(
            new TensorLayout(UploadSpecs(Plan, partBytes).Prepend(new(Name, DType.UInt8, [description.Length]))));
        description.CopyTo(model[Name].AsSpan<byte>());
        return model;
    }

    /// <summary>Reads what a server made. Takes no memory that the bytes do not stand for.</summary>
    /// <exception cref="FlareCryptoException">It is malformed, or was made under another policy.</exception>
    public static EncryptedModel Read(StateDict model, SumScheme scheme)
    {
        EncryptedModel read;
        try
        {
            var map = FlareMapCodec.Read(model[Name].AsReadOnlySpan<byte>());
            if (map["v"].AsInteger() != Version)
                throw new FlareCryptoException(
                    CryptoFault.Malformed,
                    $"The encrypted model is of version {map["v"]}; this release reads version {Version}.");
            if (map["policy"].AsText() != scheme.PolicyFingerprint)
                throw new FlareCryptoException(
                    CryptoFault.WrongParameters,
                    $"The model was encrypted under policy {map["policy"]}, not {scheme.PolicyFingerprint}: give all "
                        + "sites and the server the same EncryptionPolicy.");
            read = new()
            {
                Plan = new(new TensorLayout(map["tensors"].AsList().Select(ReadSpec)), scheme),
                Job = map["job"].AsText(),
                Number = map["number"].AsInteger(),
                Reference = checked((int)map["reference"].AsInteger()),
                MostSteps = checked((int)map["most_steps"].AsInteger()),
            };
        }
        catch (Exception e) when (e is ArgumentException or OverflowException or InvalidOperationException
            or KeyNotFoundException or FlareException and not FlareCryptoException)
        {
            throw new FlareCryptoException(
                CryptoFault.Malformed, $"The encrypted model's description is malformed: {e.Message}", e);
        }
        if (read.Number < 1 || !RoundAgreement.IsReference(read.Reference)
            || read.MostSteps is < 1 or > EncryptionPolicy.MaxSteps)
            throw new FlareCryptoException(
                CryptoFault.Malformed, "The encrypted model's description is malformed: a number is out of range.");
        read.RequireTensors(model);
        return read;
    }

    // The description counts for nothing until the bytes that it speaks of are there: memory is taken by what it says.
    private void RequireTensors(StateDict model)
    {
        if (model.Count != 1 + Plan.Parts + Plan.Plain.Count)
            throw new FlareCryptoException(
                CryptoFault.Malformed,
                $"The encrypted model has {model.Count} tensors where its description has "
                    + $"{1 + Plan.Parts + Plan.Plain.Count}.");
        foreach (var spec in Plan.Plain)
            if (model.Layout.IndexOf(spec.Name) is var at && (at < 0 || !model.Layout[at].Equals(spec)))
                throw new FlareCryptoException(
                    CryptoFault.Malformed, $"The encrypted model's tensor '{spec.Name}' is missing, or not {spec}.");
        for (var part = 0; part < Plan.Parts; part++)
        {
            var at = model.Layout.IndexOf(PartName(part));
            if (at < 0 || model.Layout[at].DType != DType.UInt8)
                throw new FlareCryptoException(
                    CryptoFault.Malformed, $"The encrypted model lacks the bytes '{PartName(part)}'.");
            var header = Plan.Scheme.ReadHeader(model[at].AsReadOnlySpan<byte>());
            if (header.Elements != Plan.ElementsOf(part))
                throw new FlareCryptoException(
                    CryptoFault.Malformed,
                    $"Part {part} of the encrypted model holds {header.Elements} values where its description has "
                        + $"{Plan.ElementsOf(part)}.");
        }
    }

    private ReadOnlySpan<byte> Describe()
    {
        var buffer = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(
            new FlareMap
            {
                ["v"] = Version,
                ["policy"] = Plan.Scheme.PolicyFingerprint,
                ["job"] = Job,
                ["number"] = Number,
                ["reference"] = Reference,
                ["most_steps"] = MostSteps,
                ["tensors"] = FlareValue.List([.. Plan.Model.Select(WriteSpec)]),
            },
            buffer);
        return buffer.WrittenSpan;
    }

    private static FlareValue WriteSpec(TensorSpec spec) => new FlareMap
    {
        ["name"] = spec.Name,
        ["dtype"] = (int)spec.DType,
        ["role"] = (int)spec.Role,
        ["shape"] = FlareValue.List([.. spec.Shape.Select(d => (FlareValue)d)]),
    };

    private static TensorSpec ReadSpec(FlareValue value)
    {
        var map = value.AsMap();
        return new(
            map["name"].AsText(),
            (DType)checked((byte)map["dtype"].AsInteger()),
            [.. map["shape"].AsList().Select(d => d.AsInteger())],
            (TensorRole)checked((byte)map["role"].AsInteger()));
    }
}
