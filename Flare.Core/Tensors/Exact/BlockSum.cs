namespace Flare;

internal enum BlockForm : byte
{
    /// <summary>Nothing was added but zeros; the memory holds anything.</summary>
    Zero,
    /// <summary>One double an element.</summary>
    One,
    /// <summary>Two doubles an element, see <see cref="BlockKernels"/>.</summary>
    Two,
    /// <summary>As many words an element as its bits need, see <see cref="WideBlock"/>.</summary>
    Wide,
}

/// <summary>Where a block's sums lie in memory: those that the form does not need are not touched.</summary>
internal readonly unsafe struct BlockCells(double* coarse, double* fine)
{
    public readonly double* Coarse = coarse;
    public readonly double* Fine = fine;
}

/// <summary>
/// The form that one block's exact sum has, and the bounds that keep it exact: where the bits of all terms lie is known
/// before they are added. One double holds sums of 53 bits: floats whose magnitudes span 13 powers of two, with weights
/// of 16 bits together. Two hold about 100, less twice the logarithm of the number of additions. The form never shows
/// in a result.
/// </summary>
internal struct BlockSum
{
    // A bound of the magnitudes' sum, scaled so that the largest doubles with the largest weights do not overflow.
    private const int Scale = -128;
    private const int SmallestBound = -1000;

    private double _bound;
    private int _low;
    private int _grid;
    private long _fineSteps;

    public BlockForm Form { get; private set; }

    /// <summary>The wide form's memory; kept while the form is another, for the next time.</summary>
    public WideBlock? Wide { get; private set; }

    /// <summary>What the coarse sums are biased by.</summary>
    public readonly double Bias => Form == BlockForm.Two ? Math.ScaleB(1.5, 52 + _grid) : 0;

    /// <summary>Where the fine sums are, if there are any.</summary>
    public readonly unsafe double* Fine(BlockCells cells) => Form == BlockForm.Two ? cells.Fine : null;

    /// <summary>All sums are multiples of two to this power; of no meaning where the form is zero.</summary>
    public readonly int Low => _low;

    /// <summary>The grid of the coarse sums: they are multiples of two to this power, the bias taken off.</summary>
    public readonly int Grid => _grid;

    /// <summary>All magnitudes of the sums are below two to this power; of no meaning where the form is zero.</summary>
    // A hair more than the bound also covers what rounding to the grid adds, and the rounding of the bound itself.
    public readonly int Top => Math.ILogB(_bound * 1.001) + 1 - Scale;

    /// <summary>Back to zero; keeps memory.</summary>
    public void Clear()
    {
        Form = BlockForm.Zero;
        _bound = 0;
        _low = int.MaxValue;
    }

    /// <summary>
    /// Makes room for terms that are about to be added: settles the form and the grid. From then on the form is not
    /// zero.
    /// </summary>
    /// <param name="kernels">Does the arithmetic.</param>
    /// <param name="cells">The block's coarse and fine sums.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="range">Of the terms before weighting; not zero.</param>
    /// <param name="weights">Sum of the weights' magnitudes.</param>
    /// <param name="weightLow">All weights are multiples of two to this power.</param>
    /// <param name="terms">Number of terms an element.</param>
    /// <param name="widest">The form that the terms allow at most, if not wide.</param>
    /// <returns>Whether the block holds nothing yet: its sums are to be written, not added to.</returns>
    public unsafe bool MakeRoom(
        BlockKernels kernels, BlockCells cells, int count, ValueRange range, double weights, int weightLow, int terms,
        BlockForm widest)
    {
        _bound += Math.ScaleB(weights, Math.Max(range.Top + Scale, SmallestBound));
        _low = Math.Min(_low, range.Low + weightLow);
        return Settle(kernels, cells, count, terms, widest);
    }

    /// <summary>
    /// Makes room for another block's sums in the wide form. The other's bound is taken over as it is: made out of the
    /// power of two above it, it would grow with each sum that a sum is merged into.
    /// </summary>
    /// <param name="kernels">Does the arithmetic.</param>
    /// <param name="cells">This block's coarse and fine sums.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="other">Not zero.</param>
    public unsafe void MakeRoomFor(BlockKernels kernels, BlockCells cells, int count, in BlockSum other)
    {
        _bound += other._bound;
        _low = Math.Min(_low, other._low);
        Settle(kernels, cells, count, terms: 1, BlockForm.Zero);
    }

    /// <summary>Settles form and grid by the bounds; returns whether the block holds nothing yet.</summary>
    private unsafe bool Settle(BlockKernels kernels, BlockCells cells, int count, int terms, BlockForm widest)
    {
        var top = Top;
        // Far from the ends of the exponents, even the remainder of a division has all its bits.
        if (top > 800 || _low < -500) widest = BlockForm.Zero;

        var (form, bias) = (Form, Bias);
        if (form <= BlockForm.One && widest >= BlockForm.One && top - _low <= 53)
        {
            Form = BlockForm.One;
        }
        else if (form <= BlockForm.Two && widest >= BlockForm.Two && FindGrid(top, terms, out var moves))
        {
            Form = BlockForm.Two;
            if (moves && form != BlockForm.Zero)
                kernels.Regrid(cells.Coarse, cells.Fine, form == BlockForm.Two, bias, Bias, count);
        }
        else
        {
            Form = BlockForm.Wide;
            Wide ??= new WideBlock();
            if (form != BlockForm.Wide) Wide.Clear();
            Wide.MakeRoom(_low, top);
            if (form is BlockForm.One or BlockForm.Two)
                Wide.AddDoubles(cells.Coarse, form == BlockForm.Two ? cells.Fine : null, bias, count);
        }
        return form == BlockForm.Zero;
    }

    /// <summary>
    /// Takes terms into account that were added to one double an element already, if no bit can have been lost; else
    /// says no and changes nothing.
    /// </summary>
    /// <inheritdoc cref="MakeRoom" path="/param"/>
    public bool TryOne(ValueRange range, double weights, int weightLow)
    {
        if (Form > BlockForm.One) return false;
        var (bound, lowest) = (_bound, _low);
        _bound += Math.ScaleB(weights, Math.Max(range.Top + Scale, SmallestBound));
        _low = Math.Min(_low, range.Low + weightLow);
        if (Top <= 800 && _low >= -500 && Top - _low <= 53)
        {
            Form = BlockForm.One;
            return true;
        }
        (_bound, _low) = (bound, lowest);
        return false;
    }

    /// <summary>Keeps the grid while it serves; else looks for one in the middle of those that would.</summary>
    private bool FindGrid(int top, int terms, out bool moves)
    {
        moves = Form != BlockForm.Two || !Fits(top, _fineSteps + terms);
        if (!moves)
        {
            _fineSteps += terms;
            return true;
        }
        // After moving, even to the same grid, a fine sum is below 0.75 g, in the steps of g/2 that a term adds: two.
        _fineSteps = terms + (Form == BlockForm.Zero ? 0 : 2);
        _grid = (LowestGrid(top) + HighestGrid(_fineSteps)) >> 1;
        return Fits(top, _fineSteps);
    }

    // Coarse sums stay within 2^51 g of the bias: in one binade, whose ulp is g.
    private static int LowestGrid(int top) => top - 51;

    // Fine sums, at most steps·g/2, stay within 2^53 of the lowest bit.
    private readonly int HighestGrid(long steps) =>
        _low + 54 - (64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)steps));

    private readonly bool Fits(int top, long steps) => _grid >= LowestGrid(top) && _grid <= HighestGrid(steps);
}
