using System.Runtime.InteropServices;

namespace Flare;

/// <content>
/// Arithmetic, element by element. The rules by dtype:
/// <list type="bullet">
/// <item>Float32 and Float64 compute natively, a factor rounded to the tensor's type; Float16 and BFloat16 compute in
/// float and round once, to nearest, ties to even. No operation is fused, so every machine gives the same bits.</item>
/// <item>Integers add and subtract exactly, wrapping around, so that <c>a + (b - a)</c> is <c>b</c>. Scaled, they are
/// computed in double (so those beyond 2^53 lose their last bits), rounded to nearest, ties to even, and held within
/// the dtype's range.</item>
/// <item>Bool adds and subtracts as an integer of one bit, exclusive or, by the same law. It cannot be scaled.</item>
/// </list>
/// All refuse before the first element is written.
/// </content>
public sealed partial class StateDict
{
    /// <summary>The sum, in a new state dict.</summary>
    /// <exception cref="ArgumentException">The layouts differ; the message names the tensor.</exception>
    public static StateDict operator +(StateDict left, StateDict right) => Combined(new SumKernel(), left, right);

    /// <summary>The difference, in a new state dict: what an executor sends as a weight difference.</summary>
    /// <exception cref="ArgumentException">The layouts differ; the message names the tensor.</exception>
    public static StateDict operator -(StateDict left, StateDict right) =>
        Combined(new DifferenceKernel(), left, right);

    /// <summary>The product with a number, in a new state dict.</summary>
    /// <exception cref="ArgumentException">There is a bool tensor, or the factor is not finite in a tensor's
    /// type.</exception>
    public static StateDict operator *(StateDict tensors, double factor)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        tensors.RequireScalable(factor);
        var result = CreateUninitialized(tensors.Layout);
        Apply(new ScaleKernel(factor), tensors, tensors, result);
        result.ClearPadding();
        return result;
    }

    /// <inheritdoc cref="operator *(StateDict, double)"/>
    public static StateDict operator *(double factor, StateDict tensors) => tensors * factor;

    /// <summary>Adds another state dict to this one.</summary>
    /// <exception cref="ArgumentException">The layouts differ; the message names the tensor.</exception>
    /// <exception cref="InvalidOperationException">This one is frozen.</exception>
    public void AddInPlace(StateDict other)
    {
        RequireSameLayout(other);
        RequireWritable();
        Apply(new SumKernel(), this, other, this);
    }

    /// <summary>Subtracts another state dict from this one.</summary>
    /// <exception cref="ArgumentException">The layouts differ; the message names the tensor.</exception>
    /// <exception cref="InvalidOperationException">This one is frozen.</exception>
    public void SubtractInPlace(StateDict other)
    {
        RequireSameLayout(other);
        RequireWritable();
        Apply(new DifferenceKernel(), this, other, this);
    }

    /// <summary>Adds a multiple of another state dict to this one (BLAS: axpy).</summary>
    /// <param name="other">What to add.</param>
    /// <param name="factor">Its factor, finite.</param>
    /// <exception cref="ArgumentException">The layouts differ, there is a bool tensor, or the factor is not finite in a
    /// tensor's type; the message names the tensor.</exception>
    /// <exception cref="InvalidOperationException">This one is frozen.</exception>
    public void AddScaledInPlace(StateDict other, double factor)
    {
        RequireSameLayout(other);
        RequireWritable();
        RequireScalable(factor);
        Apply(new ScaledSumKernel(factor), this, other, this);
    }

    /// <summary>Multiplies every element by a number.</summary>
    /// <param name="factor">The number, finite.</param>
    /// <exception cref="ArgumentException">There is a bool tensor, or the factor is not finite in a tensor's
    /// type.</exception>
    /// <exception cref="InvalidOperationException">The state dict is frozen.</exception>
    public void ScaleInPlace(double factor)
    {
        RequireWritable();
        RequireScalable(factor);
        Apply(new ScaleKernel(factor), this, this, this);
        // A negative factor makes negative zeros of the gaps.
        ClearPadding();
    }

    /// <summary>
    /// Sets every element to a number, rounded to the tensor's type; integers and bools take the nearest value they
    /// have.
    /// </summary>
    /// <param name="value">The number; NaN and infinities only where all tensors are floating-point.</param>
    /// <exception cref="ArgumentException">The number is not finite, and there is a tensor of integers or
    /// bools.</exception>
    /// <exception cref="InvalidOperationException">The state dict is frozen.</exception>
    public void Fill(double value)
    {
        RequireWritable();
        if (!double.IsFinite(value) && Layout.FirstOrDefault(spec => !spec.DType.IsFloatingPoint()) is { } spec)
            throw new ArgumentException(
                Invariant($"Tensor '{spec.Name}' holds {spec.DType}, which has no {value}."), nameof(value));
        foreach (var run in Layout.Runs)
        {
            // 16-bit elements are made of floats: rounded first, they are rounded once.
            var kernel = new FillKernel(run.DType == DType.Float16 ? (double)(Half)value : value);
            foreach (var (start, length) in ChunksOf(run))
            {
                var bytes = RunBytes(start, length);
                ElementKernels.Apply(kernel, run.DType, bytes, bytes, bytes);
            }
        }
        ClearPadding();
    }

    private static StateDict Combined<TKernel>(TKernel kernel, StateDict left, StateDict right)
        where TKernel : struct, IElementKernel
    {
        ArgumentNullException.ThrowIfNull(left);
        left.RequireSameLayout(right);
        var result = CreateUninitialized(left.Layout);
        Apply(kernel, left, right, result);
        return result;
    }

    // Over the runs, gaps included: a gap is zero, and stays so (but for its sign) in every kernel.
    private static void Apply<TKernel>(TKernel kernel, StateDict left, StateDict right, StateDict result)
        where TKernel : struct, IElementKernel
    {
        foreach (var run in result.Layout.Runs)
        {
            foreach (var (start, length) in ChunksOf(run))
            {
                ElementKernels.Apply(
                    kernel, run.DType, left.RunBytes(start, length), right.RunBytes(start, length),
                    result.RunBytes(start, length));
            }
        }
    }

    private void RequireScalable(double factor)
    {
        foreach (var run in Layout.Runs)
        {
            var name = Layout[run.First].Name;
            if (run.DType == DType.Bool)
                throw new ArgumentException(
                    $"Tensor '{name}' holds Bool, which cannot be scaled. Scale a Select() of the other tensors.",
                    nameof(factor));
            if (!double.IsFinite(factor)
                || (run.DType.IsFloatingPoint() && run.DType != DType.Float64 && !float.IsFinite((float)factor)))
                throw new ArgumentOutOfRangeException(
                    nameof(factor), factor,
                    $"Tensor '{name}' of {run.DType} can be scaled only by a factor that is finite in its arithmetic.");
        }
    }
}
