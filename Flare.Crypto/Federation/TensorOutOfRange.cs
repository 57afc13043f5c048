using System.Globalization;
using System.Numerics.Tensors;

namespace Flare.Crypto;

/// <summary>Values of a tensor that a scheme's numbers do not hold.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="First">The first such element, counted through the tensor.</param>
/// <param name="Value">It.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Largest">The one of the largest magnitude.</param>
internal sealed record TensorOutOfRange(TensorSpec Tensor, long First, double Value, long Count, double Largest)
{
    private const int Chunk = 1 << 16;

    /// <summary>The first value by name and place, as in <c>'conv.weight'[3, 2] is 9.5</c>.</summary>
    public override string ToString()
        => string.Create(CultureInfo.InvariantCulture, $"'{Tensor.Name}'{Place} is {Value:G7}");

    /// <summary>
    /// Looks through the tensors that a plan encrypts, in order; a tensor that is all in range costs one quick pass.
    /// </summary>
    /// <param name="weights">Finite values, in the plan's layout.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="holds">Whether a value of a dtype is in range; where one is, so are all of smaller
    /// magnitude.</param>
    public static IEnumerable<TensorOutOfRange> Find(StateDict weights, ModelPlan plan, Func<double, DType, bool> holds)
    {
        for (var i = 0; i < plan.Model.Count; i++)
            if (plan.IsEncrypted(i) && !holds(LargestMagnitude(weights[i]), plan.Model[i].DType)
                && Look(weights[i], holds) is { } found)
                yield return found;
    }

    private string Place
    {
        get
        {
            if (Tensor.Shape.Length == 0) return "";
            var (rest, place) = (First, new long[Tensor.Shape.Length]);
            for (var d = place.Length - 1; d >= 0; d--) (rest, place[d]) = Math.DivRem(rest, Tensor.Shape[d]);
            return $"[{string.Join(", ", place)}]";
        }
    }

    private static double LargestMagnitude(TensorView tensor)
    {
        var largest = 0.0;
        for (long start = 0; start < tensor.Spec.Length; start += Chunk)
        {
            var length = (int)Math.Min(Chunk, tensor.Spec.Length - start);
            largest = Math.Max(largest, tensor.Spec.DType switch
            {
                DType.Float32 => Math.Abs(
                    (double)TensorPrimitives.MaxMagnitude(tensor.AsReadOnlySpan<float>(start, length))),
                DType.Float64 => Math.Abs(TensorPrimitives.MaxMagnitude(tensor.AsReadOnlySpan<double>(start, length))),
                DType.Float16 => Math.Abs(
                    (double)TensorPrimitives.MaxMagnitude(tensor.AsReadOnlySpan<Half>(start, length))),
                _ => LargestMagnitude(tensor.AsReadOnlySpan<BFloat16>(start, length)),
            });
        }
        return largest;
    }

    private static double LargestMagnitude(ReadOnlySpan<BFloat16> values)
    {
        var largest = 0f;
        foreach (var value in values) largest = Math.Max(largest, Math.Abs((float)value));
        return largest;
    }

    private static TensorOutOfRange? Look(TensorView tensor, Func<double, DType, bool> holds)
    {
        var (first, count, value, largest) = (-1L, 0L, 0.0, 0.0);
        for (var i = 0L; i < tensor.Spec.Length; i++)
        {
            var element = tensor.Spec.DType switch
            {
                DType.Float32 => tensor.AsReadOnlySpan<float>(i, 1)[0],
                DType.Float64 => tensor.AsReadOnlySpan<double>(i, 1)[0],
                DType.Float16 => (double)tensor.AsReadOnlySpan<Half>(i, 1)[0],
                _ => (float)tensor.AsReadOnlySpan<BFloat16>(i, 1)[0],
            };
            if (holds(element, tensor.Spec.DType)) continue;
            if (count++ == 0) (first, value) = (i, element);
            if (Math.Abs(element) > Math.Abs(largest)) largest = element;
        }
        return count == 0 ? null : new(tensor.Spec, first, value, count, largest);
    }
}
