using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Flare;

// The passes over the tensors, block by block. A block's contributions are read, added and, at the end of a round,
// divided while all of it is in the first-level cache. Parts are runs of blocks that may be worked on side by side.
public sealed unsafe partial class ExactSum
{
    private const int BlockLength = BlockKernels.BlockLength;
    private const int CellBytes = BlockLength * sizeof(double);

    // Eight inputs of a block fill half of a first-level cache of 32 KiB, next to the block's sums.
    private const int GroupSize = 8;

    // More parts than threads even out what the threads get done.
    private const int PartsPerThread = 4;

    // A destination of more bytes than a core's caches hold is written around them.
    private const long PastCacheBytes = 4 << 20;

    private readonly BlockKernels _kernels;
    private readonly ComputeScheduler? _scheduler;
    private readonly bool _alwaysWide;
    private readonly long[] _firstBlocks;
    private readonly long _blockCount;
    private readonly Quotient[] _quotients;
    private readonly Part[] _parts;
    private Action<int>? _runPart;
    private Action<int>? _undoPart;

    // The sums kept between calls: their forms, and the memory of those held in doubles.
    private BlockSum[] _sums = [];
    private TensorMemory? _cells;
    private bool _sumsUsed;

    // What the running pass does.
    private bool _accumulate;
    private byte* _destination;

    private static (long[] FirstBlocks, long Count) LayOutBlocks(TensorLayout layout)
    {
        var first = new long[layout.Count + 1];
        for (var i = 0; i < layout.Count; i++)
            first[i + 1] = first[i] + (layout[i].Length + BlockLength - 1) / BlockLength;
        return (first, first[^1]);
    }

    private int PartCount() =>
        _scheduler is null or { MaxParallelism: 1 } ? 1
        : (int)Math.Clamp(_blockCount / 4, 1, PartsPerThread * _scheduler.MaxParallelism);

    /// <summary>Adds the batch and, if there is a destination, writes the mean there.</summary>
    private void Run(bool accumulate, StateDict? destination)
    {
        if (accumulate) RentSums();
        _accumulate = accumulate;
        _destination = destination is null ? null : destination.Pointer;
        // Whatever goes wrong other than a refusal leaves sums that nobody can vouch for.
        _broken = accumulate;
        Each(_runPart ??= RunPart);
        var failed = Array.FindIndex(_parts, part => part.Failed);
        if (failed >= 0 && accumulate) Each(_undoPart ??= UndoPart);
        _broken = false;
        GC.KeepAlive(destination);
        GC.KeepAlive(_batch);
        // Parts are in the order of the blocks, so this is the first bad block whoever found it.
        if (failed >= 0) throw Refusal(_parts[failed].Reached);
    }

    private void Each(Action<int> body)
    {
        if (_parts.Length == 1) body(0);
        else _scheduler!.ForEachPart(_parts.Length, body);
    }

    private void RentSums()
    {
        if (_sums.Length == 0)
        {
            _cells = TensorMemoryPool.Shared.Rent(2 * _blockCount * CellBytes);
            _sums = new BlockSum[_blockCount];
        }
        if (!_sumsUsed) foreach (ref var sum in _sums.AsSpan()) sum.Clear();
        _sumsUsed = true;
    }

    // All coarse sums first, then all fine ones: memory that no block needs is never touched.
    private BlockCells CellsOf(long block)
    {
        var coarse = _cells!.Pointer + block * CellBytes;
        return new((double*)coarse, (double*)(coarse + _blockCount * CellBytes));
    }

    private void GiveBackSums()
    {
        if (_cells is not null) TensorMemoryPool.Shared.Return(_cells);
        (_cells, _sums) = (null, []);
    }

    private void RunPart(int index)
    {
        ref var part = ref _parts[index];
        var (first, end) = RangeOf(index);
        part.Failed = false;
        part.Reached = VisitBlocks(ref part, first, end, undo: false);
        part.Failed = part.Reached < end;
        // Stores around the caches are ordered by nothing else.
        if (Sse.IsSupported) Sse.StoreFence();
    }

    private void UndoPart(int index) =>
        VisitBlocks(ref _parts[index], RangeOf(index).First, _parts[index].Reached, undo: true);

    private (long First, long End) RangeOf(int part) =>
        ((long)((Int128)_blockCount * part / _parts.Length), (long)((Int128)_blockCount * (part + 1) / _parts.Length));

    /// <summary>Works on a run of blocks; returns the first that holds a value that is not finite, or the
    /// end.</summary>
    [SkipLocalsInit]
    private long VisitBlocks(ref Part part, long first, long end, bool undo)
    {
        var room = stackalloc byte[sizeof(Scratch) + TensorLayout.Alignment];
        var scratch = (Scratch*)(((nint)room + TensorLayout.Alignment - 1) & ~(nint)(TensorLayout.Alignment - 1));
        scratch->Trial = default;
        var tensor = TensorOf(first);
        for (var block = first; block < end; block++)
        {
            while (block >= _firstBlocks[tensor + 1]) tensor++;
            if (!_averaged[tensor])
            {
                block = _firstBlocks[tensor + 1] - 1;
                continue;
            }
            var at = PlaceOf(block, tensor);
            ref var sum = ref _accumulate ? ref _sums[block] : ref part.Sum;
            var cells = _accumulate ? CellsOf(block) : new BlockCells(scratch->Cells, scratch->Cells + BlockLength);
            if (!_accumulate) sum.Clear();

            var added = AddBlock(at, ref sum, cells, scratch, _batchCount, undo);
            if (added < _batchCount)
            {
                if (_accumulate) AddBlock(at, ref sum, cells, scratch, added, undo: true);
                return block;
            }
            if (_destination is not null && !undo) FinishBlock(at, ref sum, cells, scratch);
        }
        return end;
    }

    /// <summary>Adds a block of the first contributions of the batch; returns how many were added before one was not
    /// finite.</summary>
    private int AddBlock(Place at, ref BlockSum sum, BlockCells cells, Scratch* scratch, int contributions, bool undo)
    {
        var groupSize = at.DType == DType.Float32 ? GroupSize : 1;
        for (var next = 0; next < contributions;)
        {
            var first = next;
            var members = 0;
            for (; next < contributions && members < groupSize; next++)
            {
                ref readonly var term = ref _batch[next];
                var address = term.AddressOf(at.Tensor);
                if (address is null) continue;
                scratch->Sources[members] = (nint)(address + at.Start * at.DType.Size());
                scratch->Weights[members++] = undo ? term.Weight.Negated : term.Weight;
            }
            if (members > 0 && !AddGroup(at, ref sum, cells, scratch, members)) return first;
        }
        return contributions;
    }

    private void FinishBlock(Place at, ref BlockSum sum, BlockCells cells, Scratch* scratch)
    {
        if (_newWeights.CountOf(at.Tensor) == 0) return;
        var destination = _destination + Layout.OffsetOf(at.Tensor) + at.Start * at.DType.Size();
        ref readonly var quotient = ref _quotients[at.Tensor];
        switch (sum.Form)
        {
            case BlockForm.Zero:
                NativeMemory.Clear(destination, (nuint)(at.Count * at.DType.Size()));
                return;
            case BlockForm.One or BlockForm.Two when at.DType == DType.Float32:
                _kernels.Finish(
                    cells.Coarse, sum.Fine(cells), sum.Bias, quotient, (float*)destination,
                    Layout.ByteLength > PastCacheBytes, at.Padded);
                return;
            case BlockForm.One or BlockForm.Two:
                _kernels.Finish(
                    cells.Coarse, sum.Fine(cells), sum.Bias, quotient, scratch->Doubles,
                    toOdd: at.DType != DType.Float64, at.Padded);
                break;
            case BlockForm.Wide when at.DType is DType.Int64 or DType.UInt64:
                for (var i = 0; i < at.Count; i++)
                    ((ulong*)destination)[i] = sum.Wide!.DivideToInteger(i, quotient, _newWeights.WordsOf(at.Tensor));
                return;
            default:
                for (var i = 0; i < at.Count; i++)
                    scratch->Doubles[i] = sum.Wide!.Divide(i, quotient, toOdd: at.DType != DType.Float64);
                break;
        }
        Elements.FromDoubles(at.DType, scratch->Doubles, destination, at.Count);
    }

    /// <summary>Names the first value of a block that is not finite.</summary>
    private RefusedContributionException Refusal(long block)
    {
        var tensor = TensorOf(block);
        while (block >= _firstBlocks[tensor + 1]) tensor++;
        var spec = Layout[tensor];
        var (start, count) = (PlaceOf(block, tensor).Start, PlaceOf(block, tensor).Count);
        for (var k = 0; k < _batchCount; k++)
        {
            var address = _batch[k].AddressOf(tensor);
            if (address is null) continue;
            for (var i = start; i < start + count; i++)
            {
                if (Elements.IsFinite(spec.DType, address, i, out var value)) continue;
                return new(
                    k, spec.Name,
                    string.Create(CultureInfo.InvariantCulture, $"tensor '{spec.Name}' holds {value} at element {i}"));
            }
        }
        // Between the pass and this look at it, somebody wrote to the tensors.
        throw new InvalidOperationException(
            $"Tensor '{spec.Name}' was written to while it was being aggregated. Freeze() what is shared.");
    }

    // Empty tensors have no blocks: the tensor found may lie before the block's.
    private int TensorOf(long block)
    {
        var tensor = Array.BinarySearch(_firstBlocks, block);
        return tensor < 0 ? ~tensor - 1 : tensor;
    }

    private Place PlaceOf(long block, int tensor)
    {
        var spec = Layout[tensor];
        var start = (block - _firstBlocks[tensor]) * BlockLength;
        return new(tensor, spec.DType, start, (int)Math.Min(BlockLength, spec.Length - start));
    }

    private readonly record struct Place(int Tensor, DType DType, long Start, int Count)
    {
        public int Padded => (Count + BlockKernels.Step - 1) & -BlockKernels.Step;
    }
}
