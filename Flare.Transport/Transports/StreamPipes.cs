using System.IO.Pipelines;

namespace Flare.Transport;

/// <summary>Pipes over a stream, in the sizes that suit TLS.</summary>
internal static class StreamPipes
{
    // Records of TLS are 16 KiB: several are read at once where they are there, and no less than one is asked for.
    private static readonly StreamPipeReaderOptions Reading = new(
        bufferSize: 128 * 1024, minimumReadSize: 16 * 1024, leaveOpen: true);

    private static readonly StreamPipeWriterOptions Writing = new(minimumBufferSize: 16 * 1024, leaveOpen: true);

    public static FlareConnection Connection(
        Stream stream, string? peerName, string peerAddress, bool boundsUnsent) => new(
            PipeReader.Create(stream, Reading), PipeWriter.Create(stream, Writing), peerName, peerAddress,
            boundsUnsent, stream.DisposeAsync);
}
