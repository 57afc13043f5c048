using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>A connection ends, whatever its pipe, its peer and its receiver do.</summary>
public class FrameEndTests
{
    private static readonly FrameOptions Quick = new()
    {
        IdleTimeout = TimeSpan.FromSeconds(0.4), StallTimeout = TimeSpan.FromSeconds(0.4),
    };

    private static readonly LinkLimits QuickLinks = new()
    {
        Frames = Quick, FirstPause = TimeSpan.FromMilliseconds(20), CloseGrace = TimeSpan.FromSeconds(0.2),
    };

    private static Socket Listening()
    {
        // With small buffers: what is sent soon waits at the sender.
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            ReceiveBufferSize = 4096,
        };
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        return socket;
    }

    private static SocketTransport To(EndPoint? address) =>
        SocketTransport.PlainTcp("127.0.0.1", ((IPEndPoint)address!).Port);

    [Test]
    public async Task Who_reads_nothing_loses_the_connection_in_the_midst_of_an_upload([Values] bool isSilent)
    {
        using var listening = Listening();
        await using var pipe = await To(listening.LocalEndPoint).ConnectAsync(default);
        using var peer = await listening.AcceptAsync();
        await peer.SendAsync(RawFrames.Hello());
        var connection = new FrameConnection(
            pipe, true, new Recorder(), isSilent ? Quick : Quick with { IdleTimeout = Patience.Long });
        var running = connection.RunAsync();
        await connection.Ready.WaitAsync(Patience.Long);
        var uploads = Enumerable.Range(0, 3).Select(_ =>
            connection.SendStreamAsync(0, default, FramePeers.InPieces(new byte[7_000_000], 10_000))).ToArray();
        var end = await running.WaitAsync(Patience.Long);
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.TimedOut));
        foreach (var upload in uploads) Assert.ThrowsAsync<FrameException>(() => upload.WaitAsync(Patience.Long));
    }

    [Test]
    public async Task Closing_and_aborting_wait_for_nobody_who_reads_nothing([Values] bool closes)
    {
        using var listening = Listening();
        await using var pipe = await To(listening.LocalEndPoint).ConnectAsync(default);
        using var peer = await listening.AcceptAsync();
        await peer.SendAsync(RawFrames.Hello());
        var connection = new FrameConnection(pipe, true, new Recorder());
        var running = connection.RunAsync();
        await connection.Ready.WaitAsync(Patience.Long);
        var upload = connection.SendStreamAsync(0, default, FramePeers.InPieces(new byte[7_000_000], 10_000));
        if (closes) await connection.CloseAsync("done", TimeSpan.FromSeconds(0.2)).WaitAsync(Patience.Long);
        else connection.Abort("done");
        Assert.That((await running.WaitAsync(Patience.Long)).Kind, Is.EqualTo(ConnectionEndKind.Closed));
        Assert.ThrowsAsync<FrameException>(() => upload.WaitAsync(Patience.Long));
    }

    [Test]
    public async Task A_server_closes_and_a_site_comes_again_where_a_model_is_not_read()
    {
        await using var server = FederationServer.Start(SocketTransport.PlainTcp("127.0.0.1", 0), QuickLinks);
        using var listening = Listening();
        var tensors = StateDict.CreateUninitialized(new TensorLayout([new("w", DType.Float32, [5_000_000])]));
        await using var plan = new ServerBuilder().AddSites("a").UseController(Sites.Training(1, minSites: 1))
            .UseInitialModel(tensors).Build();
        server.Run(plan);
        await using var site = FederationSite.Connect(To(listening.LocalEndPoint), "a", limits: QuickLinks);
        await using var sitePlan = new SiteBuilder("a").UseExecutor(() => new Scripted((_, _, _, _) =>
            throw new InvalidOperationException("the model never comes"))).Build();
        site.Join(sitePlan);
        using var atSite = await listening.AcceptAsync().WaitAsync(Patience.Long);
        using var atServer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await atServer.ConnectAsync(IPAddress.Loopback, FederationOverSocketsTests.PortOf(server));
        var up = RelayAsync(atSite, atServer, int.MaxValue);
        await RelayAsync(atServer, atSite, 200_000).WaitAsync(Patience.Long); // and reads no more
        using var again = await listening.AcceptAsync().WaitAsync(Patience.Long);
        await server.DisposeAsync().AsTask().WaitAsync(Patience.Long);
        await up.WaitAsync(Patience.Long);
    }

    private static async Task RelayAsync(Socket from, Socket to, int most)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            for (var sum = 0; sum < most;)
            {
                var count = await from.ReceiveAsync(buffer);
                if (count == 0) return;
                await to.SendAsync(buffer.AsMemory(0, count));
                sum += count;
            }
        }
        catch (SocketException)
        {
            // one of them is gone
        }
    }

    [Test]
    public async Task A_transport_that_heeds_no_cancellation_is_cut_off()
    {
        var (up, deaf) = (new Pipe(), new DeafStream());
        await up.Writer.WriteAsync(RawFrames.Hello());
        await using var pipe = new FlareConnection(
            up.Reader, PipeWriter.Create(deaf), null, "here", boundsUnsent: true, deaf.DisposeAsync);
        var connection = new FrameConnection(pipe, true, new Recorder(), Quick);
        var end = await connection.RunAsync().WaitAsync(Patience.Long);
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.TimedOut));
    }

    [Test]
    public async Task An_end_that_comes_while_bytes_do_is_told_and_heard_of()
    {
        var pipes = new PipePair(room: 0);
        await pipes.A.Output.WriteAsync(RawFrames.Hello());
        FrameConnection? connection = null;
        var pipe = new PipePair.End(
            new Interrupted(pipes.B.Input, () => connection!.Refuse("the certificate is revoked")), pipes.B.Output);
        connection = new(pipe, false, new Recorder());
        var running = connection.RunAsync();
        await pipes.A.Output.CompleteAsync();
        var end = await running.WaitAsync(Patience.Long);
        Assert.That((end.Kind, end.Error), Is.EqualTo((ConnectionEndKind.Refused, (Exception?)null)));
        Assert.That((await connection.Ended.WaitAsync(Patience.Long)).Kind, Is.EqualTo(ConnectionEndKind.Refused));
        var told = await pipes.A.Input.ReadAtLeastAsync(60);
        Assert.That(FramePeers.Text([.. told.Buffer.ToArray()]), Does.Contain("revoked"));
    }

    [Test]
    public async Task A_sink_that_throws_at_the_end_holds_up_neither_it_nor_other_streams()
    {
        var pipes = new PipePair(room: 0);
        var receiver = new Throwing();
        var connection = new FrameConnection(pipes.B, false, receiver);
        var running = connection.RunAsync();
        foreach (var frame in new[] { RawFrames.Hello(), RawFrames.Open(1, 0, 9, 0), RawFrames.Open(3, 0, 9, 0) })
            await pipes.A.Output.WriteAsync(frame);
        await pipes.A.Output.CompleteAsync();
        var end = await running.WaitAsync(Patience.Long);
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.Failed));
        Assert.That(end.Reason, Does.Contain("patient 7").And.Contain("gone without a word"));
        Assert.That(await connection.Ended.WaitAsync(Patience.Long), Is.SameAs(end));
        Assert.That(receiver.Aborts, Is.EqualTo(2));
    }

    [Test]
    public void A_sink_that_will_not_complete_has_its_last_call_and_streams_are_watched_on()
    {
        var loop = new SimulationLoop(1);
        var outcome = loop.Run(async () =>
        {
            await using var peers = new FramePeers(new(onLoop: true), time: loop.Time);
            peers.AtA.Answer = sink =>
            {
                if (sink.Length == 9) sink.OnComplete = () => throw new FlareException(ErrorIds.MalformedBytes, "no");
                return StreamAnswer.Accept(sink);
            };
            var running = peers.A.RunAsync();
            var output = peers.Pipes.B.Output;
            await output.WriteAsync(RawFrames.Hello());
            for (var stream = 2u; stream <= 6; stream += 2)
            {
                await output.WriteAsync(RawFrames.Open(stream, 0, 9, 0));
                await output.WriteAsync(RawFrames.Data(stream, new byte[9]));
            }
            await output.WriteAsync(RawFrames.Open(8, 0, 1_000_000, 0));
            await RawFrames.BeatAsync(output, loop.Time, () => running.IsCompleted);
            Assert.That((await running).Reason, Does.Contain("bytes of its streams in 60 s"));
            Assert.That(peers.AtA.Streams.Select(s => s.Ends), Is.EqualTo(new[] { 1, 1, 1, 1 }));
            var told = await peers.Pipes.B.Input.ReadAsync();
            Assert.That(
                FramePeers.Text([.. told.Buffer.ToArray()]).Split("no").Length, Is.EqualTo(4), "each reset is said");
        }, TimeSpan.FromHours(1));
        Assert.That(outcome, Is.EqualTo(SimulationEnd.Completed));
    }

    private sealed class Throwing : IFrameReceiver, IStreamSink
    {
        public int Aborts { get; private set; }

        public void OnMessage(uint channel, in ReadOnlySequence<byte> message) { }
        public StreamAnswer OnStream(in StreamOffer offer) => StreamAnswer.Accept(this);
        public void Write(ReadOnlySpan<byte> bytes) { }
        public void Complete() { }

        public void Abort(string reason)
        {
            Aborts++;
            throw new InvalidTimeZoneException("patient 7");
        }
    }

    // Ends the connection between the coming of bytes and their being looked at.
    private sealed class Interrupted(PipeReader inner, Action interrupt) : PipeReader
    {
        private bool _isDone;

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            var read = await inner.ReadAsync(cancellationToken);
            if (!_isDone) interrupt();
            _isDone = true;
            return read;
        }

        public override bool TryRead(out ReadResult result) => inner.TryRead(out result);
        public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) =>
            inner.AdvanceTo(consumed, examined);

        public override void CancelPendingRead() => inner.CancelPendingRead();
        public override void Complete(Exception? exception = null) => inner.Complete(exception);
    }

    // Takes nothing, until it is disposed of.
    private sealed class DeafStream : Stream
    {
        private readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override async ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await _disposed.Task;
            throw new ObjectDisposedException(nameof(DeafStream));
        }

        public override ValueTask DisposeAsync()
        {
            _disposed.TrySetResult();
            return base.DisposeAsync();
        }

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => 0; set => throw new NotSupportedException(); }
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
