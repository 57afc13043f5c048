using System.Buffers;
using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Flare.Tests.Federations;
using Flare.Transport;

namespace Flare.Tests.Transport.Proof;

/// <summary>A site with a good certificate that says what a test has it say, from docs/wire.md.</summary>
internal sealed class RawTls : IAsyncDisposable
{
    private readonly SslStream _tls;

    private RawTls(SslStream tls) => _tls = tls;

    public static async Task<RawTls> ConnectAsync(FlareIdentity identity, int port)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync("127.0.0.1", port);
        var tls = new SslStream(new NetworkStream(socket, ownsSocket: true));
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "127.0.0.1", ClientCertificateContext = identity.TlsContext,
            EnabledSslProtocols = SslProtocols.Tls13, ApplicationProtocols = [new("flare/1")],
            RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null,
        });
        return new(tls);
    }

    /// <summary>As an honest site of this roster begins.</summary>
    public async Task<FlareMap> IntroduceAsync(long roster, bool waits = false)
    {
        await SayAsync(new() { ["roster"] = roster, ["sha256"] = new byte[32], ["waits"] = waits });
        return await HearAsync();
    }

    public async Task SayAsync(FlareMap map)
    {
        var bytes = new ArrayBufferWriter<byte>();
        FlareMapCodec.Write(map, bytes);
        var length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.WrittenCount);
        await _tls.WriteAsync(length.Concat(bytes.WrittenSpan.ToArray()).ToArray());
    }

    public async Task<FlareMap> HearAsync()
    {
        var length = new byte[4];
        await _tls.ReadExactlyAsync(length).AsTask().WaitAsync(Patience.Long);
        var bytes = new byte[BinaryPrimitives.ReadInt32LittleEndian(length)];
        await _tls.ReadExactlyAsync(bytes).AsTask().WaitAsync(Patience.Long);
        return FlareMapCodec.Read(new ReadOnlySequence<byte>(bytes));
    }

    public async Task SendAsync(params byte[][] frames) => await _tls.WriteAsync(frames.SelectMany(f => f).ToArray());

    /// <summary>All that the server says from now on, until it says Close; then this end hangs up.</summary>
    public async Task<string> HearCloseAsync()
    {
        var all = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (true)
        {
            var count = await _tls.ReadAsync(buffer).AsTask().WaitAsync(Patience.Long);
            all.Write(buffer, 0, count);
            if (count == 0 || HasClose(all.ToArray())) break;
        }
        await _tls.DisposeAsync();
        return Encoding.UTF8.GetString(all.ToArray());
    }

    private static bool HasClose(ReadOnlySpan<byte> frames)
    {
        while (frames.Length >= 8)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(frames) & 0xFFFFFF;
            if (frames.Length < 8 + length) return false;
            if (frames[3] == 9) return true;
            frames = frames[(8 + length)..];
        }
        return false;
    }

    public ValueTask DisposeAsync() => _tls.DisposeAsync();
}
