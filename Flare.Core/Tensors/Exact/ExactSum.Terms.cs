using System.Runtime.CompilerServices;

namespace Flare;

// How a block's terms enter its sums.
public sealed unsafe partial class ExactSum
{
    private bool AddGroup(Place at, ref BlockSum sum, BlockCells cells, Scratch* scratch, int members)
    {
        switch (Elements.Widened(at.DType))
        {
            case DType.Float32:
                if (at.DType != DType.Float32)
                {
                    new Span<float>(scratch->Floats, at.Padded).Clear();
                    Elements.ToFloats(at.DType, (byte*)scratch->Sources[0], scratch->Floats, at.Count);
                    scratch->Sources[0] = (nint)scratch->Floats;
                }
                return AddFloats(at, ref sum, cells, scratch, members);
            case DType.Float64:
                new Span<double>(scratch->Doubles, at.Padded).Clear();
                Elements.ToDoubles(at.DType, (byte*)scratch->Sources[0], scratch->Doubles, at.Count);
                return AddDoubles(at, ref sum, cells, scratch);
            default:
                AddIntegers(at, ref sum, cells, scratch);
                return true;
        }
    }

    private bool AddFloats(Place at, ref BlockSum sum, BlockCells cells, Scratch* scratch, int members)
    {
        var sources = (float**)scratch->Sources;
        var weights = SumWeights(scratch, members, out var low, out var bits);
        uint largest, smallest;
        if (sum.Form <= (members > 1 ? BlockForm.One : BlockForm.Zero) && bits <= 24 && !_alwaysWide
            && scratch->Trial.IsDue())
        {
            // As a rule one double an element is enough: it is tried before anything is known of the values.
            var sums = sum.Form == BlockForm.Zero ? null : cells.Coarse;
            var to = sums is null ? cells.Coarse : scratch->Tried;
            _kernels.FoldAndScan(
                sums, to, sources, scratch->Factors, members, at.Padded, out largest, out smallest);
            if (ValueRange.OfFloats(largest, smallest) is { IsZero: false } found)
            {
                var isExact = sum.TryOne(found, weights, low);
                scratch->Trial.Ended(isExact);
                if (isExact && sums is not null)
                    new ReadOnlySpan<double>(to, at.Padded).CopyTo(new Span<double>(sums, at.Padded));
                if (isExact) return true;
            }
        }
        else
        {
            _kernels.Scan(sources, members, at.Padded, out largest, out smallest);
        }
        if (ValueRange.OfFloats(largest, smallest) is not { } range) return false;
        if (range.IsZero) return true;

        var fresh = sum.MakeRoom(_kernels, cells, at.Padded, range, weights, low, members, Widest(24 + bits));
        if (sum.Form != BlockForm.Wide)
            _kernels.Fold(
                cells.Coarse, sum.Fine(cells), sum.Bias, fresh, sources, scratch->Factors, members, at.Padded);
        else
            for (var k = 0; k < members; k++) sum.Wide!.Add(sources[k], at.Count, scratch->Weights[k]);
        return true;
    }

    private bool AddDoubles(Place at, ref BlockSum sum, BlockCells cells, Scratch* scratch)
    {
        if (ValueRange.OfDoubles(scratch->Doubles, at.Padded) is not { } range) return false;
        if (range.IsZero) return true;

        var weights = SumWeights(scratch, 1, out var low, out var bits);
        var fresh = sum.MakeRoom(_kernels, cells, at.Padded, range, weights, low, 1, Widest(53 + bits));
        var source = scratch->Doubles;
        if (sum.Form != BlockForm.Wide)
            _kernels.Fold(cells.Coarse, sum.Fine(cells), sum.Bias, fresh, &source, scratch->Factors, 1, at.Padded);
        else
            sum.Wide!.Add(source, at.Count, scratch->Weights[0]);
        return true;
    }

    private void AddIntegers(Place at, ref BlockSum sum, BlockCells cells, Scratch* scratch)
    {
        var weight = scratch->Weights[0];
        sum.MakeRoom(
            _kernels, cells, at.Padded, new ValueRange(64, 0), Math.Abs(weight.Value), weight.Exponent, 1,
            BlockForm.Zero);
        sum.Wide!.Add((long*)scratch->Sources[0], at.DType == DType.Int64, at.Count, weight);
    }

    private BlockForm Widest(int bitsOfProducts) =>
        _alwaysWide ? BlockForm.Zero : bitsOfProducts <= 53 || _kernels.TakesLongProducts ? BlockForm.Two
        : BlockForm.One;

    private static double SumWeights(Scratch* scratch, int members, out int low, out int bits)
    {
        (var sum, low, bits) = (0.0, int.MaxValue, 0);
        for (var k = 0; k < members; k++)
        {
            ref readonly var weight = ref scratch->Weights[k];
            scratch->Factors[k] = weight.Value;
            sum += Math.Abs(weight.Value);
            low = Math.Min(low, weight.Exponent);
            bits = Math.Max(bits, weight.Bits);
        }
        return sum;
    }

    /// <summary>What working on a block takes beside the contributions; on the stack, at a multiple of 64
    /// bytes.</summary>
    private struct Scratch
    {
        public fixed double Cells[2 * BlockLength];
        public fixed double Doubles[BlockLength];
        public fixed double Tried[BlockLength];
        public Trial Trial;
        public fixed double Factors[GroupSize];
        public fixed long Sources[GroupSize];
        private fixed long _weights[3 * GroupSize];

        public float* Floats => (float*)Unsafe.AsPointer(ref Doubles[0]);

        public Weight* Weights => (Weight*)Unsafe.AsPointer(ref _weights[0]);
    }

    /// <summary>
    /// Whether to add before it is known that one double is enough. Where it was not, time and again, it will not be in
    /// the next blocks.
    /// </summary>
    private struct Trial
    {
        private const int MostFailures = 15;

        private int _failures;
        private int _waits;

        public bool IsDue() => --_waits < 0;

        public void Ended(bool isExact)
        {
            _failures = isExact ? 0 : Math.Min(_failures + 1, MostFailures);
            _waits = 2 * Math.Max(_failures - 1, 0);
        }
    }

    private struct Part
    {
        public BlockSum Sum;
        public long Reached;
        public bool Failed;
    }
}
