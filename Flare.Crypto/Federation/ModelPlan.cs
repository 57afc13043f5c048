using System.Numerics.Tensors;
using System.Security.Cryptography;
using System.Text;

namespace Flare.Crypto;

/// <summary>
/// Which elements of a model are encrypted and in which part each lies: those of the chosen tensors, one after another,
/// cut into parts that bound the memory of working on one.
/// </summary>
internal sealed class ModelPlan
{
    public const int PartElements = 1 << 21;

    private readonly bool[] _chosen;

    /// <summary>Plans a model.</summary>
    /// <exception cref="FlareCryptoException">The policy chooses no tensor, or a tensor bears a name of the encrypted
    /// form.</exception>
    public ModelPlan(TensorLayout model, SumScheme scheme)
    {
        (Model, Scheme) = (model, scheme);
        _chosen = scheme.Policy.Select(model);
        Elements = Enumerable.Range(0, model.Count).Where(i => _chosen[i]).Sum(i => model[i].Length);
        if (Elements == 0)
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                "The encryption policy chooses no tensor of the model "
                    + $"({string.Join(", ", model.Take(8).Select(t => t.Name))}"
                    + $"{(model.Count > 8 ? ", …" : "")}): nothing would be encrypted. "
                    + $"Change {nameof(EncryptionPolicy.Tensors)}.");
        if (model.FirstOrDefault(t => EncryptedModel.IsReserved(t.Name)) is { } reserved)
            throw new FlareCryptoException(
                CryptoFault.NotEncryptable,
                $"The model's tensor '{reserved.Name}' bears a name of the encrypted form; rename it.");
        Parts = checked((int)((Elements + PartElements - 1) / PartElements));
        Plain = new TensorLayout(model.Where((_, i) => !_chosen[i]));
    }

    /// <summary>The model as sites train it.</summary>
    public TensorLayout Model { get; }

    public SumScheme Scheme { get; }

    /// <summary>The tensors that travel in the clear; may be none.</summary>
    public TensorLayout Plain { get; }

    /// <summary>Elements that are encrypted.</summary>
    public long Elements { get; }

    public int Parts { get; }

    public bool IsEncrypted(int tensor) => _chosen[tensor];

    public IEnumerable<string> EncryptedNames => Model.Where((_, i) => _chosen[i]).Select(t => t.Name);

    public int ElementsOf(int part) => (int)Math.Min(PartElements, Elements - ((long)part * PartElements));

    /// <summary>
    /// What the ciphertexts of a part are bound to: the job, and all that decides what its values mean. A sum that
    /// opens under this name is of uploads that meant the same.
    /// </summary>
    public AggregationRound Label(string job, long number, int reference, int part)
    {
        var meaning = SHA256.HashData(
            Encoding.UTF8.GetBytes($"{Scheme.PolicyFingerprint}\n{Model.Fingerprint}\n{reference}"));
        return new($"{job}#{Convert.ToHexStringLower(meaning.AsSpan(0, 16))}#{part}", number);
    }

    /// <summary>Reads a part's values, each times a factor that is rounded once.</summary>
    public void Gather(StateDict model, int part, float factor, Span<float> values)
    {
        foreach (var (tensor, start, at, length) in Segments(part))
        {
            var to = values.Slice(at, length);
            switch (Model[tensor].DType)
            {
                case DType.Float32:
                    TensorPrimitives.Multiply(model[tensor].AsReadOnlySpan<float>(start, length), factor, to);
                    break;
                case DType.Float64:
                    var doubles = model[tensor].AsReadOnlySpan<double>(start, length);
                    for (var i = 0; i < length; i++) to[i] = (float)(doubles[i] * factor);
                    break;
                case DType.Float16:
                    var halves = model[tensor].AsReadOnlySpan<Half>(start, length);
                    for (var i = 0; i < length; i++) to[i] = (float)halves[i] * factor;
                    break;
                default:
                    var brains = model[tensor].AsReadOnlySpan<BFloat16>(start, length);
                    for (var i = 0; i < length; i++) to[i] = (float)brains[i] * factor;
                    break;
            }
        }
    }

    /// <summary>Writes a part's means: sum / divisor, rounded once to the tensor's type.</summary>
    public void Scatter(ReadOnlySpan<double> sums, double divisor, StateDict model, int part)
    {
        foreach (var (tensor, start, at, length) in Segments(part))
        {
            var from = sums.Slice(at, length);
            switch (Model[tensor].DType)
            {
                case DType.Float32:
                    var floats = model[tensor].AsSpan<float>(start, length);
                    for (var i = 0; i < length; i++) floats[i] = (float)(from[i] / divisor);
                    break;
                case DType.Float64:
                    TensorPrimitives.Divide(from, divisor, model[tensor].AsSpan<double>(start, length));
                    break;
                case DType.Float16:
                    var halves = model[tensor].AsSpan<Half>(start, length);
                    for (var i = 0; i < length; i++) halves[i] = (Half)(from[i] / divisor);
                    break;
                default:
                    var brains = model[tensor].AsSpan<BFloat16>(start, length);
                    for (var i = 0; i < length; i++) brains[i] = (BFloat16)(float)(from[i] / divisor);
                    break;
            }
        }
    }

    /// <summary>Copies the tensors that travel in the clear, by name.</summary>
    public void CopyPlain(StateDict from, StateDict to)
    {
        foreach (var spec in Plain) from[spec.Name].CopyTo(to[spec.Name]);
    }

    private IEnumerable<(int Tensor, long Start, int At, int Length)> Segments(int part)
    {
        var (first, end) = ((long)part * PartElements, ((long)part * PartElements) + ElementsOf(part));
        var offset = 0L; // of the tensor, in the run of all encrypted elements
        for (var tensor = 0; tensor < Model.Count && offset < end; tensor++)
        {
            if (!_chosen[tensor]) continue;
            var (from, to) = (Math.Max(offset, first), Math.Min(offset + Model[tensor].Length, end));
            if (from < to) yield return (tensor, from - offset, (int)(from - first), (int)(to - from));
            offset += Model[tensor].Length;
        }
    }
}
