using System.Buffers;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>A receiver that keeps what it gets.</summary>
internal sealed class Recorder : IFrameReceiver
{
    public List<(uint Channel, byte[] Bytes)> Messages { get; } = [];

    public List<Sink> Streams { get; } = [];

    public Action<uint, byte[]> OnEachMessage { get; set; } = static (_, _) => { };

    public Func<Sink, StreamAnswer> Answer { get; set; } = StreamAnswer.Accept;

    public void OnMessage(uint channel, in ReadOnlySequence<byte> message)
    {
        var bytes = message.ToArray();
        lock (Messages) Messages.Add((channel, bytes));
        OnEachMessage(channel, bytes);
    }

    public StreamAnswer OnStream(in StreamOffer offer)
    {
        var sink = new Sink(offer.Channel, offer.Head.ToArray(), offer.Length, offer.Offset);
        lock (Messages) Streams.Add(sink);
        return Answer(sink);
    }

    internal sealed class Sink(uint channel, byte[] head, long length, long offset) : IStreamSink
    {
        private readonly ArrayBufferWriter<byte> _bytes = new();
        private readonly TaskCompletionSource<string?> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public uint Channel => channel;
        public byte[] Head => head;
        public long Length => length;
        public long Offset => offset;
        public byte[] Bytes => _bytes.WrittenSpan.ToArray();
        public int Ends { get; private set; }

        /// <summary>Null once it is complete; otherwise why it was broken off.</summary>
        public Task<string?> Ended => _ended.Task;

        public Action<int> OnWrite { get; set; } = static _ => { };

        public Action OnComplete { get; set; } = static () => { };

        public void Write(ReadOnlySpan<byte> bytes)
        {
            OnWrite(_bytes.WrittenCount);
            _bytes.Write(bytes);
        }

        public void Complete()
        {
            Ends++;
            OnComplete();
            _ended.TrySetResult(null);
        }

        public void Abort(string reason)
        {
            Ends++;
            _ended.TrySetResult(reason);
        }
    }
}
