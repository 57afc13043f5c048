using System.IO.Pipelines;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>A site's way on which some of its bytes become others, before TLS.</summary>
internal sealed class SpoilingConnector(IFlareConnector inner, byte[] from, byte[] to) : IFlareConnector
{
    public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        var connection = await inner.ConnectAsync(cancellationToken);
        return new(
            connection.Input, new Writer(connection.Output, from, to), connection.PeerName, connection.PeerAddress,
            connection.BoundsUnsent, connection.DisposeAsync);
    }

    private sealed class Writer(PipeWriter inner, byte[] from, byte[] to) : PipeWriter
    {
        public override ValueTask<FlushResult> WriteAsync(
            ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
        {
            var bytes = source.ToArray();
            for (int at; (at = bytes.AsSpan().IndexOf(from)) >= 0;) to.CopyTo(bytes, at);
            return inner.WriteAsync(bytes, cancellationToken);
        }

        public override void Advance(int bytes) => inner.Advance(bytes);
        public override Memory<byte> GetMemory(int sizeHint = 0) => inner.GetMemory(sizeHint);
        public override Span<byte> GetSpan(int sizeHint = 0) => inner.GetSpan(sizeHint);
        public override void CancelPendingFlush() => inner.CancelPendingFlush();
        public override void Complete(Exception? exception = null) => inner.Complete(exception);
        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
            inner.FlushAsync(cancellationToken);
    }
}
