using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Text;
using Flare.Transport;

namespace Flare.Tests.Transport.Frames;

/// <summary>Frames written by hand from docs/wire.md, for an end that does not keep to it.</summary>
internal static class RawFrames
{
    public static byte[] Frame(int type, uint id, params byte[] payload)
    {
        var frame = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)payload.Length | (uint)type << 24);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(4), id);
        payload.CopyTo(frame, 8);
        return frame;
    }

    public static byte[] Hello(
        ushort oldest = 1, ushort newest = 1, int message = 65536, int head = 65536, int streams = 16,
        int window = 1 << 20, uint idle = 30_000)
    {
        var payload = new byte[32];
        Encoding.ASCII.GetBytes("FLARE\r\n\u001a").CopyTo(payload, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(8), oldest);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(10), newest);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(12), message);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(16), head);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(20), streams);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(24), window);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(28), idle);
        return Frame(1, 0, payload);
    }

    public static byte[] Message(uint channel, params byte[] bytes) => Frame(2, channel, bytes);

    public static byte[] Open(uint stream, uint channel, long length, long offset, params byte[] head)
    {
        var payload = new byte[20 + head.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, channel);
        BinaryPrimitives.WriteInt64LittleEndian(payload.AsSpan(4), length);
        BinaryPrimitives.WriteInt64LittleEndian(payload.AsSpan(12), offset);
        head.CopyTo(payload, 20);
        return Frame(3, stream, payload);
    }

    public static byte[] Data(uint stream, params byte[] bytes) => Frame(4, stream, bytes);

    public static byte[] Credit(uint stream, int more)
    {
        var payload = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(payload, more);
        return Frame(5, stream, payload);
    }

    public static byte[] Reset(uint stream, string reason) => Frame(6, stream, Encoding.UTF8.GetBytes(reason));

    public static byte[] Ping(byte nonce) => Frame(7, 0, nonce, 0, 0, 0, 0, 0, 0, 0);

    public static byte[] Close(string reason) => Frame(9, 0, Encoding.UTF8.GetBytes(reason));

    /// <summary>Says something every few seconds until it is enough.</summary>
    public static async Task BeatAsync(PipeWriter to, TimeProvider time, Func<bool> isEnough)
    {
        while (!isEnough())
        {
            await to.WriteAsync(Ping(0));
            await Task.Delay(TimeSpan.FromSeconds(5), time);
        }
    }
}
