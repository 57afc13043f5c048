using System.Numerics;
using System.Runtime.CompilerServices;

namespace Flare;

// Sums of sums: what was summed elsewhere is added as terms of weight one, whose range is found by looking at them.
public sealed unsafe partial class ExactSum
{
    // A sum that is merged adds at most so many terms to a word of a wide block.
    private const int TermsOfMerge = 4;

    // Digits of a written sum: they fit a double with bits to spare, whatever the sum's width.
    private const int DigitBytes = 6;

    /// <summary>
    /// Adds another's contributions: this sum is as if all of them had been added here, bit by bit. The other stays as
    /// it is.
    /// </summary>
    /// <param name="other">Of the same layout, with the same tensors excluded; not this sum itself.</param>
    /// <exception cref="ArgumentException">The other is of another layout, excludes other tensors, or is this sum. Both
    /// are as before.</exception>
    /// <exception cref="InvalidOperationException">There would be more than 2^28 contributions, those counted that were
    /// subtracted again; or an earlier call of one of the two was cut short.</exception>
    public void Merge(ExactSum other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (ReferenceEquals(this, other))
            throw new ArgumentException("A sum cannot be merged with itself.", nameof(other));
        if (other.Layout.DifferenceFrom(Layout) is { } difference)
            throw new ArgumentException(
                $"The other sum's layout differs from this one's: {difference}.", nameof(other));
        if (!_averaged.AsSpan().SequenceEqual(other._averaged))
            throw new ArgumentException("The other sum excludes other tensors than this one.", nameof(other));
        RequireWhole();
        other.RequireWhole();
        if (other.Count == 0) return;
        // The bounds of a block know nothing of what cancelled out: this keeps them where a block has room.
        if (_contributions + other._contributions > MaxContributions) throw TooMany();
        CountAdditions(TermsOfMerge);
        _contributions += other._contributions;

        RentSums();
        _broken = true;
        _merged = other;
        if (other._sumsUsed) Each(_mergePart ??= MergePart);
        _merged = null;
        _weights.Add(other._weights);
        Count += other.Count;
        _broken = false;
    }

    private ExactSum? _merged;
    private Action<int>? _mergePart;

    private void MergePart(int index)
    {
        var (first, end) = RangeOf(index);
        var tensor = TensorOf(first);
        for (var block = first; block < end; block++)
        {
            while (block >= _firstBlocks[tensor + 1]) tensor++;
            if (_averaged[tensor]) MergeBlock(PlaceOf(block, tensor), block);
        }
    }

    [SkipLocalsInit]
    private void MergeBlock(Place at, long block)
    {
        ref var theirs = ref _merged!._sums[block];
        ref var ours = ref _sums[block];
        var (cells, kept) = (CellsOf(block), _merged.CellsOf(block));
        switch (theirs.Form)
        {
            case BlockForm.One:
                AddTerms(at, ref ours, cells, kept.Coarse);
                break;
            case BlockForm.Two:
                var room = stackalloc double[BlockLength + TensorLayout.Alignment / sizeof(double)];
                var coarse = Aligned(room);
                var bias = theirs.Bias;
                for (var i = 0; i < at.Padded; i++) coarse[i] = kept.Coarse[i] - bias;
                AddTerms(at, ref ours, cells, coarse);
                AddTerms(at, ref ours, cells, kept.Fine);
                break;
            case BlockForm.Wide:
                ours.MakeRoomFor(_kernels, cells, at.Padded, theirs);
                ours.Wide!.Add(theirs.Wide!, at.Count);
                break;
        }
    }

    /// <summary>Adds numbers of any sizes, once each.</summary>
    private void AddTerms(Place at, ref BlockSum sum, BlockCells cells, double* terms)
    {
        var range = ValueRange.OfDoubles(terms, at.Padded)!.Value;
        if (range.IsZero) return;
        var fresh = sum.MakeRoom(_kernels, cells, at.Padded, range, 1, 0, 1, WidestOfTerms(at.DType));
        var one = 1.0;
        if (sum.Form != BlockForm.Wide)
            _kernels.Fold(cells.Coarse, sum.Fine(cells), sum.Bias, fresh, &terms, &one, 1, at.Padded);
        else
            sum.Wide!.Add(terms, at.Count, new Weight(1));
    }

    /// <summary>Adds a block as it was written, in one piece where doubles hold it, else digit by digit.</summary>
    [SkipLocalsInit]
    private void AddWritten(Place at, long block, byte* elements, int low, int width)
    {
        ref var sum = ref _sums[block];
        var digits = stackalloc long[BlockLength];
        if (width == 7 && Digits(elements, width, 0, 7, at.Count, digits) <= 53)
        {
            AddDigits(at, ref sum, CellsOf(block), digits, low, 53);
            return;
        }
        for (var first = 0; first < width; first += DigitBytes)
        {
            var bits = Digits(elements, width, first, Math.Min(DigitBytes, width - first), at.Count, digits);
            if (bits > 0) AddDigits(at, ref sum, CellsOf(block), digits, low + 8 * first, bits);
        }
    }

    [SkipLocalsInit]
    private void AddDigits(Place at, ref BlockSum sum, BlockCells cells, long* digits, int exponent, int bits)
    {
        var range = new ValueRange(exponent + bits, exponent);
        var fresh = sum.MakeRoom(_kernels, cells, at.Padded, range, 1, 0, 1, WidestOfTerms(at.DType));
        if (sum.Form == BlockForm.Wide)
        {
            sum.Wide!.Add(digits, at.Count, exponent);
            return;
        }
        var room = stackalloc double[BlockLength + TensorLayout.Alignment / sizeof(double)];
        var terms = Aligned(room);
        var (one, scale) = (1.0, Math.ScaleB(1, exponent));
        for (var i = 0; i < at.Count; i++) terms[i] = digits[i] * scale;
        for (var i = at.Count; i < at.Padded; i++) terms[i] = 0;
        _kernels.Fold(cells.Coarse, sum.Fine(cells), sum.Bias, fresh, &terms, &one, 1, at.Padded);
    }

    // Means of long integers are divided in the wide form alone; terms of weight one are no longer than a double.
    private BlockForm WidestOfTerms(DType dtype) =>
        Elements.Widened(dtype) == DType.Int64 ? BlockForm.Zero : Widest(53);

    /// <summary>Some bytes of each element as an integer, which has a sign where they are its last; returns their
    /// bits.</summary>
    private static int Digits(byte* elements, int width, int first, int bytes, int count, long* digits)
    {
        var (unused, signed) = (64 - 8 * bytes, first + bytes == width);
        var magnitudes = 0UL;
        elements += first;
        for (var i = 0; i < count; i++, elements += width)
        {
            var word = Unsafe.ReadUnaligned<long>(elements) << unused;
            var digit = signed ? word >> unused : (long)((ulong)word >> unused);
            digits[i] = digit;
            magnitudes |= (ulong)Math.Abs(digit);
        }
        return 64 - BitOperations.LeadingZeroCount(magnitudes);
    }

    private static double* Aligned(double* room) =>
        (double*)(((nint)room + TensorLayout.Alignment - 1) & ~(nint)(TensorLayout.Alignment - 1));
}
