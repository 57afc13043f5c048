using System.Runtime.Intrinsics;

namespace Flare.Learning;

/// <summary>
/// S[r, k] += Σⱼ D[r, j] · B[offset[k] + j]: a convolution's weight gradient, one row of output pixels a call. Each
/// S[r, k] is kept as 16 partial sums (j modulo 16) whatever the vectors' width; <c>Fold</c> adds them up at the end.
/// </summary>
internal static unsafe class Correlation
{
    /// <summary>Partial sums an element of S takes.</summary>
    public const int Partials = 16;

    /// <summary>The operands; <c>Sums</c> holds Rows × Steps × <see cref="Partials"/> floats.</summary>
    public readonly struct Operands
    {
        public required float* D { get; init; }
        public required nint DStride { get; init; }
        public required float* B { get; init; }
        public required int* Offsets { get; init; }
        public required float* Sums { get; init; }
        public required int Rows { get; init; }
        public required int Steps { get; init; }
        public required int Columns { get; init; }
    }

    /// <summary>Accumulates. Columns is a multiple of 16.</summary>
    public static void Accumulate<T>(in Operands o) where T : struct, ILanes<T>
    {
        // A block that reaches past the last row or step computes that one twice; both copies are equal.
        for (var row = 0; row < o.Rows;)
        {
            var left = o.Rows - row;
            var six = left >= 5 && left != 8 && left != 7;
            for (var step = 0; step < o.Steps; step += 2)
                for (var lane = 0; lane < Partials; lane += T.Count)
                {
                    if (six) Six<T>(o, row, step, lane);
                    else Four<T>(o, row, step, lane);
                }
            row += six ? 6 : 4;
        }
    }

    /// <summary>The sums' totals: partial sums added in halves, 16, 8, 4, 2, 1.</summary>
    public static void Fold(float* sums, Span<float> totals)
    {
        for (var i = 0; i < totals.Length; i++) totals[i] = Fold(sums + i * Partials);
    }

    /// <summary>The total of 16 partial sums.</summary>
    public static float Fold(float* sums)
    {
        if (!Vector128.IsHardwareAccelerated)
            return Quarter(sums, 0) + Quarter(sums, 2) + (Quarter(sums, 1) + Quarter(sums, 3));
        var four = Vector128.Load(sums) + Vector128.Load(sums + 8)
            + (Vector128.Load(sums + 4) + Vector128.Load(sums + 12));
        return four[0] + four[2] + (four[1] + four[3]);
    }

    private static float Quarter(float* sums, int i) => sums[i] + sums[i + 8] + (sums[i + 4] + sums[i + 12]);

    private static void Six<T>(in Operands o, int row, int step, int lane) where T : struct, ILanes<T>
    {
        var last = o.Rows - 1;
        float* d0 = o.D + row * o.DStride, d1 = o.D + Math.Min(row + 1, last) * o.DStride;
        float* d2 = o.D + Math.Min(row + 2, last) * o.DStride;
        float* d3 = o.D + Math.Min(row + 3, last) * o.DStride, d4 = o.D + Math.Min(row + 4, last) * o.DStride;
        float* d5 = o.D + Math.Min(row + 5, last) * o.DStride;
        var next = Math.Min(step + 1, o.Steps - 1);
        float* b0 = o.B + o.Offsets[step], b1 = o.B + o.Offsets[next];
        float* s0 = o.Sums + (long)step * Partials + lane, s1 = o.Sums + (long)next * Partials + lane;
        nint t0 = (nint)row * o.Steps * Partials, t1 = (nint)Math.Min(row + 1, last) * o.Steps * Partials;
        nint t2 = (nint)Math.Min(row + 2, last) * o.Steps * Partials;
        nint t3 = (nint)Math.Min(row + 3, last) * o.Steps * Partials, t4 = (nint)Math.Min(
            row + 4, last) * o.Steps * Partials;
        nint t5 = (nint)Math.Min(row + 5, last) * o.Steps * Partials;
        T c00 = T.Load(s0 + t0), c10 = T.Load(s0 + t1), c20 = T.Load(s0 + t2);
        T c30 = T.Load(s0 + t3), c40 = T.Load(s0 + t4), c50 = T.Load(s0 + t5);
        T c01 = T.Load(s1 + t0), c11 = T.Load(s1 + t1), c21 = T.Load(s1 + t2);
        T c31 = T.Load(s1 + t3), c41 = T.Load(s1 + t4), c51 = T.Load(s1 + t5);
        nint columns = o.Columns;
        for (nint j = lane; j < columns; j += Partials)
        {
            T x = T.Load(b0 + j), y = T.Load(b1 + j);
            var d = T.Load(d0 + j);
            c00 = d * x + c00; c01 = d * y + c01;
            d = T.Load(d1 + j);
            c10 = d * x + c10; c11 = d * y + c11;
            d = T.Load(d2 + j);
            c20 = d * x + c20; c21 = d * y + c21;
            d = T.Load(d3 + j);
            c30 = d * x + c30; c31 = d * y + c31;
            d = T.Load(d4 + j);
            c40 = d * x + c40; c41 = d * y + c41;
            d = T.Load(d5 + j);
            c50 = d * x + c50; c51 = d * y + c51;
        }
        T.Store(c00, s0 + t0); T.Store(c10, s0 + t1); T.Store(c20, s0 + t2);
        T.Store(c30, s0 + t3); T.Store(c40, s0 + t4); T.Store(c50, s0 + t5);
        T.Store(c01, s1 + t0); T.Store(c11, s1 + t1); T.Store(c21, s1 + t2);
        T.Store(c31, s1 + t3); T.Store(c41, s1 + t4); T.Store(c51, s1 + t5);
    }

    private static void Four<T>(in Operands o, int row, int step, int lane) where T : struct, ILanes<T>
    {
        var last = o.Rows - 1;
        float* d0 = o.D + row * o.DStride, d1 = o.D + Math.Min(row + 1, last) * o.DStride;
        float* d2 = o.D + Math.Min(row + 2, last) * o.DStride, d3 = o.D + Math.Min(row + 3, last) * o.DStride;
        var next = Math.Min(step + 1, o.Steps - 1);
        float* b0 = o.B + o.Offsets[step], b1 = o.B + o.Offsets[next];
        float* s0 = o.Sums + (long)step * Partials + lane, s1 = o.Sums + (long)next * Partials + lane;
        nint t0 = (nint)row * o.Steps * Partials, t1 = (nint)Math.Min(row + 1, last) * o.Steps * Partials;
        nint t2 = (nint)Math.Min(row + 2, last) * o.Steps * Partials;
        nint t3 = (nint)Math.Min(row + 3, last) * o.Steps * Partials;
        T c00 = T.Load(s0 + t0), c10 = T.Load(s0 + t1), c20 = T.Load(s0 + t2), c30 = T.Load(s0 + t3);
        T c01 = T.Load(s1 + t0), c11 = T.Load(s1 + t1), c21 = T.Load(s1 + t2), c31 = T.Load(s1 + t3);
        nint columns = o.Columns;
        for (nint j = lane; j < columns; j += Partials)
        {
            T x = T.Load(b0 + j), y = T.Load(b1 + j);
            var d = T.Load(d0 + j);
            c00 = d * x + c00; c01 = d * y + c01;
            d = T.Load(d1 + j);
            c10 = d * x + c10; c11 = d * y + c11;
            d = T.Load(d2 + j);
            c20 = d * x + c20; c21 = d * y + c21;
            d = T.Load(d3 + j);
            c30 = d * x + c30; c31 = d * y + c31;
        }
        T.Store(c00, s0 + t0); T.Store(c10, s0 + t1); T.Store(c20, s0 + t2); T.Store(c30, s0 + t3);
        T.Store(c01, s1 + t0); T.Store(c11, s1 + t1); T.Store(c21, s1 + t2); T.Store(c31, s1 + t3);
    }
}
