using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>Moves bytes and small requests over a bare stream.</summary>
internal sealed class BareEnds(Stream site, Stream server, byte[] content)
{
    private readonly byte[] _arrived = new byte[content.Length];
    private readonly byte[] _buffer = new byte[128 * 1024];
    private readonly byte[] _request = new byte[64];
    private readonly byte[] _answer = new byte[64];

    /// <summary>Seconds to move the content into an array of its own, as a tensor would be filled.</summary>
    public async Task<double> MoveAsync()
    {
        var clock = Stopwatch.StartNew();
        var writing = Task.Run(async () =>
        {
            for (var at = 0; at < content.Length; at += 64 * 1024)
                await site.WriteAsync(content.AsMemory(at, Math.Min(64 * 1024, content.Length - at)));
        });
        for (var at = 0; at < content.Length;)
        {
            var count = await server.ReadAsync(_buffer);
            _buffer.AsSpan(0, count).CopyTo(_arrived.AsSpan(at));
            at += count;
        }
        await writing;
        return clock.Elapsed.TotalSeconds;
    }

    /// <summary>Microseconds of the middle of so many requests.</summary>
    public async Task<double> RequestAsync(int count)
    {
        var echo = Task.Run(async () =>
        {
            var bytes = new byte[64];
            for (var i = 0; i < count; i++)
            {
                await server.ReadExactlyAsync(bytes);
                await server.WriteAsync(bytes);
            }
        });
        var times = new double[count];
        for (var i = 0; i < count; i++)
        {
            var began = Stopwatch.GetTimestamp();
            await site.WriteAsync(_request);
            await site.ReadExactlyAsync(_answer);
            times[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
        }
        await echo;
        Array.Sort(times);
        return times[count / 2];
    }
}

/// <summary>The same over Flare's frames.</summary>
internal sealed class FrameEnds : IFrameReceiver, IValueTaskSource, IAsyncDisposable
{
    private readonly byte[] _content;
    private readonly byte[] _request = new byte[64];
    private readonly FrameConnection _site;
    private readonly Server _server;
    private ManualResetValueTaskSourceCore<int> _answered;

    public FrameEnds(Stream site, Stream server, byte[] content, FrameOptions? options = null)
        : this(Pairs.Pipes(site), Pairs.Pipes(server), content, options) { }

    public FrameEnds(IDuplexPipe site, IDuplexPipe server, byte[] content, FrameOptions? options = null)
    {
        _content = content;
        _site = new(site, true, this, options);
        _server = new(server, content.Length, options);
        _ = Task.Run(_site.RunAsync);
    }

    public Task ReadyAsync() => Task.WhenAll(_site.Ready, _server.Connection.Ready);

    public async Task<double> MoveAsync()
    {
        var clock = Stopwatch.StartNew();
        var arrived = _server.Expect();
        await _site.SendStreamAsync(0, default, new(_content));
        await arrived;
        return clock.Elapsed.TotalSeconds;
    }

    /// <summary>Microseconds of a request.</summary>
    public async Task<double> RequestAsync()
    {
        _answered.Reset();
        var began = Stopwatch.GetTimestamp();
        _site.Send(0, _request);
        await new ValueTask(this, _answered.Version);
        return Stopwatch.GetElapsedTime(began).TotalMicroseconds;
    }

    /// <summary>Closes both ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _site.DisposeAsync();
        await _server.Connection.DisposeAsync();
    }

    /// <returns>Microseconds of the middle of so many requests, and bytes allocated for each, at both ends.</returns>
    public async Task<(double Microseconds, double Bytes)> RequestAsync(int count)
    {
        var times = new double[count];
        var before = GC.GetTotalAllocatedBytes(precise: true);
        for (var i = 0; i < count; i++)
        {
            _answered.Reset();
            var began = Stopwatch.GetTimestamp();
            _site.Send(0, _request);
            await new ValueTask(this, _answered.Version);
            times[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
        }
        var bytes = (double)(GC.GetTotalAllocatedBytes(precise: true) - before) / count;
        Array.Sort(times);
        return (times[count / 2], bytes);
    }

    public void OnMessage(uint channel, in ReadOnlySequence<byte> message) => _answered.SetResult(0);

    public StreamAnswer OnStream(in StreamOffer offer) => StreamAnswer.Refuse("none here");

    void IValueTaskSource.GetResult(short token) => _answered.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _answered.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _answered.OnCompleted(continuation, state, token, flags);

    private sealed class Server : IFrameReceiver, IStreamSink
    {
        private readonly byte[] _arrived;
        private TaskCompletionSource _done = new();
        private int _at;

        public Server(IDuplexPipe pipe, int length, FrameOptions? options)
        {
            _arrived = new byte[length];
            Connection = new(pipe, false, this, options);
            _ = Task.Run(Connection.RunAsync);
        }

        public FrameConnection Connection { get; }

        public Task Expect()
        {
            (_at, _done) = (0, new(TaskCreationOptions.RunContinuationsAsynchronously));
            return _done.Task;
        }

        public void OnMessage(uint channel, in ReadOnlySequence<byte> message) =>
            Connection.Send(channel, message.FirstSpan);

        public StreamAnswer OnStream(in StreamOffer offer) => StreamAnswer.Accept(this);

        public void Write(ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_arrived.AsSpan(_at));
            _at += bytes.Length;
        }

        public void Complete() => _done.SetResult();

        public void Abort(string reason) => _done.SetException(new IOException(reason));
    }
}
