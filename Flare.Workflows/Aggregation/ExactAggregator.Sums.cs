using System.Buffers;
using System.Buffers.Binary;

namespace Flare.Workflows;

// What was accepted, as bytes: "FLXA", the version, the fingerprint of the model's layout, the round, what sites sent
// and what weights are made of, then the written sum of the model and, where it has integers, theirs and its length,
// which is known last. The sums have one written form, so the whole has.
public sealed partial class ExactAggregator
{
    /// <summary>The version of the written form.</summary>
    public const int WrittenVersion = 1;

    private const uint Magic = 0x4158_4C46;
    private const int HeadBytes = 4 + 4 + 32 + 4 + 1 + 1;
    private const int TailBytes = 8;
    private const byte NothingYet = 0;

    // Where sums of others are read to, and proved, before anything of theirs is added.
    private ExactSum? _read;
    private ExactSum? _readIntegers;

    // Contributions that came in sums, of the kind that the round's are.
    private int _merged;

    /// <summary>
    /// Writes the sum of what was accepted or merged in this round, weights and all, to some six bytes a parameter of
    /// 32-bit floats: the same bytes for the same contributions, whatever their order and grouping. The sum stays as it
    /// is.
    /// </summary>
    /// <param name="destination">Takes the bytes, off the job's loop.</param>
    /// <param name="abort">Ends the call before anything is written.</param>
    /// <exception cref="FlareException">Some sites sent weights and others differences.</exception>
    /// <exception cref="InvalidOperationException">The round has not begun, or is complete.</exception>
    public async ValueTask WriteSumAsync(IBufferWriter<byte> destination, CancellationToken abort)
    {
        ArgumentNullException.ThrowIfNull(destination);
        RequireOpenRound();
        abort.ThrowIfCancellationRequested();
        RequireOneKind();
        await FoldWaitingAsync();
        await Context.Compute.RunAsync(() =>
        {
            WriteHead(destination);
            _mean!.WriteTo(destination);
            if (_integers is not null) WriteIntegers(destination);
        });
    }

    /// <summary>
    /// Adds a sum that another aggregator of the same round has written, with the same settings: the result is as if
    /// its contributions had been accepted here. What arrives is trusted in nothing: it is read to its end and proved
    /// to be a sum of its weights, in memory of its own (as much again as this aggregator's), before any of it is
    /// added. Whose contributions it holds, and that none is counted twice, is for the caller to know.
    /// </summary>
    /// <param name="sum">The bytes, all of them and no more; only read during the call.</param>
    /// <param name="abort">Ends the call before anything is added.</param>
    /// <exception cref="FlareException">The bytes are malformed, of another version, round or model, or of
    /// contributions of another kind than this round's. The sum is as before.</exception>
    /// <exception cref="InvalidOperationException">The round has not begun, or is complete.</exception>
    public async ValueTask MergeSumAsync(ReadOnlySequence<byte> sum, CancellationToken abort)
    {
        RequireOpenRound();
        abort.ThrowIfCancellationRequested();
        var kind = ReadHead(sum);
        await FoldWaitingAsync();
        await Context.Compute.RunAsync(() => Merge(sum.Slice(HeadBytes), kind, abort));
    }

    private void WriteHead(IBufferWriter<byte> destination)
    {
        var head = destination.GetSpan(HeadBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(head, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], WrittenVersion);
        Fingerprint.CopyTo(head[8..]);
        BinaryPrimitives.WriteInt32LittleEndian(head[40..], _round);
        head[44] = _kind is { } kind ? CodeOf(kind) : NothingYet;
        head[45] = (byte)Weighting;
        destination.Advance(HeadBytes);
    }

    private void WriteIntegers(IBufferWriter<byte> destination)
    {
        var counted = new CountedWriter(destination);
        _integers!.WriteTo(counted);
        BinaryPrimitives.WriteInt64LittleEndian(destination.GetSpan(TailBytes), counted.Written);
        destination.Advance(TailBytes);
    }

    /// <summary>What the contributions are of whose sum it is; null where it says that there are none.</summary>
    private DataKind? ReadHead(ReadOnlySequence<byte> sum)
    {
        if (sum.Length < HeadBytes) throw Refused("it is cut short");
        Span<byte> head = stackalloc byte[HeadBytes];
        sum.Slice(0, HeadBytes).CopyTo(head);
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) != Magic) throw Refused("it does not begin as one");
        if (BinaryPrimitives.ReadInt32LittleEndian(head[4..]) is var version and not WrittenVersion)
            throw Refused($"its version is {version}, and this library reads {WrittenVersion}");
        if (!head.Slice(8, 32).SequenceEqual(Fingerprint)) throw Refused("it is of another layout than this model's");
        if (BinaryPrimitives.ReadInt32LittleEndian(head[40..]) is var round && round != _round)
            throw Refused($"it is of round {round}, and this is round {_round}");
        if (head[45] != (byte)Weighting)
            throw Refused($"its weights are made otherwise than by {nameof(Weighting)}.{Weighting}, as they are here");
        DataKind? kind = head[44] switch
        {
            NothingYet => null,
            var code when code == CodeOf(DataKind.WeightDiff) => DataKind.WeightDiff,
            var code when code == CodeOf(DataKind.Weights) => DataKind.Weights,
            var code => throw Refused($"it is of contributions of an unknown kind, {code}"),
        };
        if (kind is { } theirs && (Kind ?? _kind) is { } ours && theirs != ours)
        {
            throw new FlareException(
                ErrorIds.Aggregation,
                $"The written sum is refused: it is of contributions that sent {theirs}, and "
                    + (Kind is null ? $"{Senders(ours)} sent {ours}" : $"{nameof(Kind)} is {ours}")
                    + ". Have all sites of the federation send one of them.");
        }
        return kind;
    }

    private void Merge(ReadOnlySequence<byte> sums, DataKind? kind, CancellationToken abort)
    {
        var ofModel = sums;
        var ofIntegers = ReadOnlySequence<byte>.Empty;
        if (_integers is not null)
        {
            if (sums.Length < TailBytes) throw Refused("it is cut short");
            var end = sums.Length - TailBytes;
            Span<byte> tail = stackalloc byte[TailBytes];
            sums.Slice(end).CopyTo(tail);
            var length = BinaryPrimitives.ReadInt64LittleEndian(tail);
            if (length < 0 || length > end) throw Refused("it is cut short, or its integers' length is wrong");
            (ofModel, ofIntegers) = (sums.Slice(0, end - length), sums.Slice(end - length, length));
        }
        _read ??= new ExactSum(_mean!.Layout, ExcludedFromMean(_mean.Layout), Context.Compute);
        if (_integers is not null) _readIntegers ??= new ExactSum(_integers.Layout, [], Context.Compute);
        try
        {
            _read.Read(ofModel);
            _readIntegers?.Read(ofIntegers);
            RequireSound(kind);
            abort.ThrowIfCancellationRequested();
            _mean!.Merge(_read);
            _integers?.Merge(_readIntegers!);
            (_kind, _merged) = (_kind ?? kind, _merged + _read.Count);
        }
        finally
        {
            _read.Reset();
            _readIntegers?.Reset();
        }
    }

    /// <summary>Whether the sums that were read are those of one set of contributions, and not too many.</summary>
    private void RequireSound(DataKind? kind)
    {
        var (count, integers) = (_read!.Count, _readIntegers?.Count ?? 0);
        if (integers > count) throw Refused($"it has the integers of {integers} contributions, and there are {count}");
        if (kind is null != (count == 0)) throw Refused($"it says not what its {count} contributions sent");
        var most = ExactSum.MaxContributions - _mean!.Count;
        if (count > most) throw Refused($"it claims {count} contributions, and there is room for {most}");
    }

    private void RequireOpenRound()
    {
        _ = Context;
        if (_isComplete)
            throw new InvalidOperationException("The round is complete, and its sum is gone. Call Begin for the next.");
    }

    private byte[] Fingerprint => Convert.FromHexString(Context.Model.Layout.Fingerprint);

    private static byte CodeOf(DataKind kind) => kind == DataKind.WeightDiff ? (byte)1 : (byte)2;

    private static FlareException Refused(string reason) =>
        new(ErrorIds.MalformedBytes, $"The written sum is refused: {reason}.");

    /// <summary>Passes on, and says how much.</summary>
    private sealed class CountedWriter(IBufferWriter<byte> destination) : IBufferWriter<byte>
    {
        public long Written { get; private set; }

        public void Advance(int count)
        {
            destination.Advance(count);
            Written += count;
        }

        public Memory<byte> GetMemory(int sizeHint = 0) => destination.GetMemory(sizeHint);

        public Span<byte> GetSpan(int sizeHint = 0) => destination.GetSpan(sizeHint);
    }
}
