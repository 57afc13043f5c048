using System.Buffers;
using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>
/// A site that asks for fewer bytes than its result has. It knows the protocol from docs/protocol.md and does nothing
/// else of it.
/// </summary>
internal sealed class LyingSite : IFrameReceiver, IAsyncDisposable
{
    private const uint Channel = 1;

    private readonly string _name;
    private readonly long _asks;
    private readonly byte[] _result;
    private readonly FlareConnection _pipe;
    private readonly FrameConnection _connection;
    private readonly TaskCompletionSource<string> _refused = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Guid _process = Guid.NewGuid();

    private LyingSite(FlareConnection pipe, string name, long asks, long sends)
    {
        (_pipe, _name, _asks, _result) = (pipe, name, asks, new byte[sends]);
        _connection = new(pipe, isInitiator: true, this);
    }

    /// <summary>Why the server did not take the stream, or the result.</summary>
    public Task<string> Refused => _refused.Task;

    public static async Task<LyingSite> ConnectAsync(IFlareConnector connector, string name, long asks, long sends)
    {
        var site = new LyingSite(await connector.ConnectAsync(CancellationToken.None), name, asks, sends);
        _ = site._connection.RunAsync();
        await site._connection.Ready;
        site.Attach();
        return site;
    }

    private void Attach() =>
        _connection.Send(Control.Channel, Control.SayAttach(Channel, _name, "job", _process, incarnation: 1));

    public void OnMessage(uint channel, in ReadOnlySequence<byte> message)
    {
        if (channel == Control.Channel)
        {
            var say = Control.Read(message)["say"].AsText();
            if (say == Control.Refused) Attach(); // the server has not begun yet
            else if (say == Control.Attached)
                Say(new SiteHello(_process, new HelloTerms("job", 42, FlareProtocol.Version, "", "")), 0);
            return;
        }
        var head = FrameHead.Read(message.Slice(0, FrameHead.Size).ToArray());
        var token = new TaskToken("job", head.Epoch, head.Round, head.Number);
        switch (head.Kind)
        {
            case FrameKind.TaskOffer: Say(new ResultReady(token, _asks), head.Epoch); break;
            case FrameKind.UploadPermit: _ = SendAsync(head); break;
            case FrameKind.ResultReceipt:
                var reader = new LinkMessageReader("job", head);
                reader.Append(message.Slice(FrameHead.Size).ToArray());
                _refused.TrySetResult((reader.Complete(head).Record as ResultReceipt)?.Refusal ?? "");
                break;
        }
    }

    private async Task SendAsync(FrameHead permit)
    {
        var head = new byte[FrameHead.Size];
        (permit with { Kind = FrameKind.TaskResult, Offset = 0, Length = _result.Length }).Write(head);
        try
        {
            await _connection.SendStreamAsync(Channel, head, new(_result));
        }
        catch (FlareException)
        {
            // Refused, as it should be.
        }
    }

    private void Say(SiteMessage message, int epoch)
    {
        var said = new LinkMessage(1, epoch, message);
        var head = new byte[FrameHead.Size];
        said.Head.Write(head);
        _connection.Send(Channel, [.. head, .. said.Bytes.ToArray()]);
    }

    public StreamAnswer OnStream(in StreamOffer offer) => StreamAnswer.Refuse("none here");

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _pipe.DisposeAsync();
    }
}
