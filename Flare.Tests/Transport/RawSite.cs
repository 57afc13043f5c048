using System.Buffers;
using System.Threading.Channels;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>A site that says on channel 0 what a test has it say, from docs/wire.md, and answers nothing.</summary>
internal sealed class RawSite : IFrameReceiver, IAsyncDisposable
{
    private readonly Channel<FlareMap> _heard = Channel.CreateUnbounded<FlareMap>();
    private readonly FlareConnection _pipe;
    private readonly FrameConnection _connection;

    private RawSite(FlareConnection pipe) => (_pipe, _connection) = (pipe, new(pipe, isInitiator: true, this));

    public static async Task<RawSite> ConnectAsync(IFlareConnector connector)
    {
        var site = new RawSite(await connector.ConnectAsync(CancellationToken.None));
        _ = site._connection.RunAsync();
        await site._connection.Ready;
        return site;
    }

    /// <summary>Asks once.</summary>
    public void Ask(uint channel, string name, string job)
    {
        var output = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(
            new()
            {
                ["say"] = "attach", ["channel"] = (long)channel, ["site"] = name, ["job"] = job,
                ["process"] = new byte[16], ["incarnation"] = 1,
            },
            output);
        _connection.Send(0, output.WrittenSpan);
    }

    /// <summary>Asks until the job is there.</summary>
    public async Task AttachAsync(uint channel, string name, string job)
    {
        Ask(channel, name, job);
        while (_heard.Reader.TryPeek(out _) || await _heard.Reader.WaitToReadAsync())
        {
            if (!_heard.Reader.TryPeek(out var answer)) continue;
            if (answer["say"].AsText() != "refused") return;
            _heard.Reader.TryRead(out _); // the server has not begun yet
            Ask(channel, name, job);
        }
    }

    public async Task<FlareMap> HearAsync(string say)
    {
        while (true)
        {
            var map = await _heard.Reader.ReadAsync().AsTask().WaitAsync(Patience.Long);
            if (map["say"].AsText() == say) return map;
        }
    }

    public void OnMessage(uint channel, in ReadOnlySequence<byte> message)
    {
        if (channel == 0) _heard.Writer.TryWrite(FlareMapCodec.Read(message));
    }

    public StreamAnswer OnStream(in StreamOffer offer) => StreamAnswer.Refuse("none here");

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _pipe.DisposeAsync();
    }
}
