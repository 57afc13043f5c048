using System.Buffers;
using System.Threading.Channels;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Tests.Transport.External;

/// <summary>A process beside a site, played by a test: real frames, and heads written by hand.</summary>
internal sealed class ExternalPeer : IAsyncDisposable
{
    private static readonly StateDict[] Places = [new(new TensorLayout()), new(new TensorLayout())];

    private readonly Channel<ExternalTask> _tasks = Channel.CreateUnbounded<ExternalTask>();
    private readonly Channel<FlareMap> _messages = Channel.CreateUnbounded<FlareMap>();
    private readonly FlareConnection _pipe;

    private ExternalPeer(FlareConnection pipe, FrameOptions? options)
    {
        _pipe = pipe;
        var recorder = new Recorder
        {
            OnEachMessage = (_, bytes) => _messages.Writer.TryWrite(FlareMapCodec.Read(bytes.AsMemory())),
            Answer = sink =>
            {
                _ = HandAsync(sink);
                return StreamAnswer.Accept(sink);
            },
        };
        Connection = new(pipe, isInitiator: true, recorder, options ?? new() { MaxStreamHeadBytes = 1 << 20 });
    }

    public FrameConnection Connection { get; }

    public static async Task<ExternalPeer> ConnectAsync(IFlareConnector to, FrameOptions? options = null)
    {
        var peer = new ExternalPeer(await to.ConnectAsync(default), options);
        _ = peer.Connection.RunAsync();
        await peer.Connection.Ready.WaitAsync(Patience.Long);
        return peer;
    }

    /// <summary>Connects once somebody listens.</summary>
    public static async Task<ExternalPeer> ConnectOnceThereAsync(IFlareConnector to)
    {
        while (true)
        {
            try
            {
                return await ConnectAsync(to);
            }
            catch (FrameException e) when (e.IsTransient)
            {
                await Task.Yield(); // the executor is made once the federation is
            }
        }
    }

    private async Task HandAsync(Recorder.Sink sink)
    {
        if (await sink.Ended is null) _tasks.Writer.TryWrite(new(FlareMapCodec.Read(sink.Head, Places), sink.Bytes));
    }

    /// <summary>The next task.</summary>
    public Task<ExternalTask> TaskAsync() => _tasks.Reader.ReadAsync().AsTask().WaitAsync(Patience.Long);

    /// <summary>The next small message of the site.</summary>
    public Task<FlareMap> MessageAsync() => _messages.Reader.ReadAsync().AsTask().WaitAsync(Patience.Long);

    /// <summary>Answers with whatever it is given.</summary>
    public Task SayAsync(FlareMap head, byte[] content, uint channel = 1, long offset = 0) =>
        SayAsync(Write(head), content, channel, offset);

    public Task SayAsync(byte[] head, byte[] content, uint channel = 1, long offset = 0) =>
        Connection.SendStreamAsync(channel, head, new ReadOnlySequence<byte>(content), offset)
            .WaitAsync(Patience.Long);

    /// <summary>Answers all tasks by a function of them until the connection ends.</summary>
    public async Task ServeAsync(Func<ExternalTask, (FlareMap Head, byte[] Content)> answer)
    {
        await foreach (var task in _tasks.Reader.ReadAllAsync())
        {
            var (head, content) = answer(task);
            try
            {
                await SayAsync(head, content);
            }
            catch (FrameException)
            {
                return; // the site does not want it, or is done
            }
        }
    }

    private static byte[] Write(FlareMap map)
    {
        var output = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(map, output, new List<StateDict>());
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Goes away without a word.</summary>
    public async Task DieAsync()
    {
        Connection.Abort("the process dies");
        await Connection.Ended.WaitAsync(Patience.Long);
        await _pipe.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await DieAsync();
        _tasks.Writer.TryComplete();
    }
}

/// <summary>A task as a process gets it.</summary>
internal sealed record ExternalTask(FlareMap Head, byte[] Content)
{
    public long Number => Head["task"].AsInteger();

    /// <summary>An answer with tensors as the task's own are.</summary>
    public FlareMap Answer(DataKind kind, params (string Name, FlareValue Value)[] meta)
    {
        var facts = new FlareMap();
        foreach (var (name, value) in meta) facts[name] = value;
        return new()
        {
            ["task"] = Number,
            ["body"] = new FlareMap { ["kind"] = (int)kind, ["tensors"] = Tensors, ["meta"] = facts },
            ["layouts"] = Head["layouts"],
        };
    }

    /// <summary>What stands for the first tensors that come along.</summary>
    public static StateDict Tensors { get; } = new(new TensorLayout());
}
