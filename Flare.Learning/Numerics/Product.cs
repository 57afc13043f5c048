using System.Runtime.CompilerServices;

namespace Flare.Learning;

/// <summary>
/// C[r, j] = bias[r] + Σₖ A[r, k] · B[offset[k] + j]: the one product behind linear layers and convolutions, in both
/// directions. B's rows are found through offsets, so a convolution reads its input in place, without im2col. Samples
/// lie innermost, hence vectors run along j and every C[r, j] is summed in the order of k, whatever the vectors' width.
/// </summary>
internal static unsafe class Product
{
    /// <summary>Columns come in multiples of this many.</summary>
    public const int ColumnUnit = 16;

    /// <summary>The operands. A[r, k] lies at <c>A + r·RowStride + k·StepStride</c>; <c>Bias</c> may be null.</summary>
    public readonly struct Operands
    {
        public required float* A { get; init; }
        public required nint RowStride { get; init; }
        public required nint StepStride { get; init; }
        public required float* B { get; init; }
        public required int* Offsets { get; init; }
        public required float* Bias { get; init; }
        public required float* C { get; init; }
        public required nint CStride { get; init; }
        public required int Rows { get; init; }
        public required int Steps { get; init; }
        public required int Columns { get; init; }
    }

    /// <summary>
    /// Computes with vectors of one width, and the half of it where that does not divide the columns.
    /// </summary>
    public static void Compute<T>(in Operands o) where T : struct, ILanes<T>
    {
        var wide = o.Columns / (2 * T.Count) * (2 * T.Count);
        Columns<T>(o, 0, wide);
        if (wide < o.Columns) Columns<Lanes8>(o, wide, o.Columns);
    }

    /// <summary>Computes some columns with vectors of one width; the range is a multiple of two vectors.</summary>
    internal static void Columns<T>(in Operands o, int from, int to) where T : struct, ILanes<T>
    {
        // Blocks of six rows, and of four where that fits the number of rows better; a block that reaches past the last
        // row computes that row again.
        for (var column = from; column < to; column += 2 * T.Count)
        {
            for (var row = 0; row < o.Rows;)
            {
                var left = o.Rows - row;
                if (left >= 5 && left != 8 && left != 7) { Six<T>(o, row, column); row += 6; }
                else { Four<T>(o, row, column); row += 4; }
            }
        }
    }

    private static void Six<T>(in Operands o, int row, int column) where T : struct, ILanes<T>
    {
        var last = o.Rows - 1;
        float* a0 = o.A + row * o.RowStride, a1 = o.A + Math.Min(row + 1, last) * o.RowStride;
        float* a2 = o.A + Math.Min(row + 2, last) * o.RowStride, a3 = o.A + Math.Min(row + 3, last) * o.RowStride;
        float* a4 = o.A + Math.Min(row + 4, last) * o.RowStride, a5 = o.A + Math.Min(row + 5, last) * o.RowStride;
        T c00 = Start<T>(o, row), c10 = Start<T>(o, row + 1), c20 = Start<T>(o, row + 2);
        T c30 = Start<T>(o, row + 3), c40 = Start<T>(o, row + 4), c50 = Start<T>(o, row + 5);
        T c01 = c00, c11 = c10, c21 = c20, c31 = c30, c41 = c40, c51 = c50;
        var b = o.B + column;
        var offset = o.Offsets;
        var end = offset + o.Steps;
        var stepStride = o.StepStride;
        nint i = 0;
        for (; offset < end; offset++, i += stepStride)
        {
            var p = b + *offset;
            T b0 = T.Load(p), b1 = T.Load(p + T.Count);
            var w = T.Broadcast(a0[i]);
            c00 = w * b0 + c00; c01 = w * b1 + c01;
            w = T.Broadcast(a1[i]);
            c10 = w * b0 + c10; c11 = w * b1 + c11;
            w = T.Broadcast(a2[i]);
            c20 = w * b0 + c20; c21 = w * b1 + c21;
            w = T.Broadcast(a3[i]);
            c30 = w * b0 + c30; c31 = w * b1 + c31;
            w = T.Broadcast(a4[i]);
            c40 = w * b0 + c40; c41 = w * b1 + c41;
            w = T.Broadcast(a5[i]);
            c50 = w * b0 + c50; c51 = w * b1 + c51;
        }
        Store(o, row, column, c00, c01);
        Store(o, row + 1, column, c10, c11);
        Store(o, row + 2, column, c20, c21);
        Store(o, row + 3, column, c30, c31);
        Store(o, row + 4, column, c40, c41);
        Store(o, row + 5, column, c50, c51);
    }

    private static void Four<T>(in Operands o, int row, int column) where T : struct, ILanes<T>
    {
        var last = o.Rows - 1;
        float* a0 = o.A + row * o.RowStride, a1 = o.A + Math.Min(row + 1, last) * o.RowStride;
        float* a2 = o.A + Math.Min(row + 2, last) * o.RowStride, a3 = o.A + Math.Min(row + 3, last) * o.RowStride;
        T c00 = Start<T>(o, row), c10 = Start<T>(o, row + 1), c20 = Start<T>(o, row + 2), c30 = Start<T>(o, row + 3);
        T c01 = c00, c11 = c10, c21 = c20, c31 = c30;
        var b = o.B + column;
        var offset = o.Offsets;
        var end = offset + o.Steps;
        var stepStride = o.StepStride;
        nint i = 0;
        for (; offset < end; offset++, i += stepStride)
        {
            var p = b + *offset;
            T b0 = T.Load(p), b1 = T.Load(p + T.Count);
            var w = T.Broadcast(a0[i]);
            c00 = w * b0 + c00; c01 = w * b1 + c01;
            w = T.Broadcast(a1[i]);
            c10 = w * b0 + c10; c11 = w * b1 + c11;
            w = T.Broadcast(a2[i]);
            c20 = w * b0 + c20; c21 = w * b1 + c21;
            w = T.Broadcast(a3[i]);
            c30 = w * b0 + c30; c31 = w * b1 + c31;
        }
        Store(o, row, column, c00, c01);
        Store(o, row + 1, column, c10, c11);
        Store(o, row + 2, column, c20, c21);
        Store(o, row + 3, column, c30, c31);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Start<T>(in Operands o, int row) where T : struct, ILanes<T> =>
        T.Broadcast(o.Bias == null ? 0 : o.Bias[Math.Min(row, o.Rows - 1)]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<T>(in Operands o, int row, int column, T first, T second) where T : struct, ILanes<T>
    {
        if (row >= o.Rows) return;
        var c = o.C + row * o.CStride + column;
        T.Store(first, c);
        T.Store(second, c + T.Count);
    }
}
