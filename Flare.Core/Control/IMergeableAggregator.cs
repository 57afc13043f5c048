using System.Buffers;

namespace Flare;

/// <summary>
/// An <see cref="Aggregator"/> whose sums merge: what it has accepted can be written, handed on in place of the
/// contributions, and merged by another one, as at a relay. The written form depends on the multiset of contributions
/// alone, not on their order or grouping. Its <see cref="Aggregator.NeedsSingleUpdates"/> is false.
/// </summary>
public interface IMergeableAggregator
{
    /// <summary>Writes the sum of what was accepted or merged in this round. The sum stays as it is.</summary>
    /// <param name="destination">Takes the bytes.</param>
    /// <param name="abort">Aborts the writing.</param>
    ValueTask WriteSumAsync(IBufferWriter<byte> destination, CancellationToken abort);

    /// <summary>Adds a sum that another aggregator of the same round has written: whole, or not at all.</summary>
    /// <param name="sum">The bytes.</param>
    /// <param name="abort">Aborts before anything is added.</param>
    /// <exception cref="FlareException">The bytes are malformed, or of another model.</exception>
    ValueTask MergeSumAsync(ReadOnlySequence<byte> sum, CancellationToken abort);
}
