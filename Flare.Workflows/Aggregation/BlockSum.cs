namespace Flare.Workflows;

internal enum BlockForm : byte
{
    /// <summary>Nothing was added but zeros; its memory holds anything.</summary>
    Zero,
    /// <summary>Two doubles an element, see <see cref="BlockKernels"/>.</summary>
    Narrow,
    /// <summary>As many words an element as its bits need, see <see cref="WideBlock"/>.</summary>
    Wide,
}

/// <summary>
/// The form that one block's exact sum has, and the bounds that keep it exact. Where the bits of all that was added lie is known
/// before it is added; the narrow form is kept as long as they fit, which is about 100 bits less twice the logarithm of the number
/// of additions. The form never shows in a result.
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
    public readonly double Bias => BiasOf(_grid);

    /// <summary>Back to zero; keeps memory.</summary>
    public void Clear()
    {
        Form = BlockForm.Zero;
        _bound = 0;
        _low = int.MaxValue;
    }

    /// <summary>
    /// Makes room for terms that are about to be added: settles the grid, or goes over to the wide form. From then on the form is not zero.
    /// </summary>
    /// <param name="kernels">Does the arithmetic.</param>
    /// <param name="coarse">The block's coarse sums.</param>
    /// <param name="fine">The block's fine sums.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="range">Of the terms before weighting; not zero.</param>
    /// <param name="weights">Sum of the weights' magnitudes.</param>
    /// <param name="weightLow">All weights are multiples of two to this power.</param>
    /// <param name="terms">Number of terms an element, counting split ones by their parts.</param>
    /// <param name="narrowAllowed">False where the terms cannot be added in the narrow form.</param>
    /// <returns>Whether the block holds nothing yet: its sums are to be written, not added to.</returns>
    public unsafe bool MakeRoom(
        BlockKernels kernels, double* coarse, double* fine, int count, ValueRange range, double weights, int weightLow, int terms, bool narrowAllowed)
    {
        var form = Form;
        var bias = Bias;
        _bound += Math.ScaleB(weights, Math.Max(range.Top + Scale, SmallestBound));
        _low = Math.Min(_low, range.Low + weightLow);
        // A hair more than the bound also covers what rounding to the grid adds, and the rounding of the bound itself.
        var top = Math.ILogB(_bound * 1.001) + 1 - Scale;

        if (form == BlockForm.Wide)
        {
            Wide!.MakeRoom(_low, top);
            return false;
        }
        if (form == BlockForm.Narrow && narrowAllowed && Fits(top, _fineSteps + terms))
        {
            _fineSteps += terms;
            return false;
        }
        // After moving, a fine sum is below 0.75 g, in the steps of g/2 that a term adds: two.
        _fineSteps = terms + (form == BlockForm.Narrow ? 2 : 0);
        _grid = (LowestGrid(top) + HighestGrid(_fineSteps)) >> 1;
        if (narrowAllowed && Fits(top, _fineSteps))
        {
            Form = BlockForm.Narrow;
            if (form == BlockForm.Narrow) kernels.Regrid(coarse, fine, bias, Bias, count);
            return form == BlockForm.Zero;
        }
        Form = BlockForm.Wide;
        Wide ??= new WideBlock();
        Wide.Clear();
        Wide.MakeRoom(_low, top);
        if (form == BlockForm.Narrow) Wide.AddNarrow(coarse, fine, bias, count);
        return false;
    }

    // Coarse sums stay within 2^51 g of the bias: in one binade, whose ulp is g.
    private static int LowestGrid(int top) => top - 51;

    // Fine sums, at most steps·g/2, stay within 2^53 of the lowest bit.
    private readonly int HighestGrid(long steps) => _low + 54 - (64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)steps));

    // Far from the ends of the exponents, where even a remainder of a division has all its bits.
    private readonly bool Fits(int top, long steps) => _grid >= LowestGrid(top) && _grid <= HighestGrid(steps) && top <= 800 && _low >= -500;

    private static double BiasOf(int grid) => Math.ScaleB(1.5, 52 + grid);
}
