using System.Diagnostics;
using System.Globalization;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Benchmarks.Transport;

/// <summary>
/// <c>mutations [--times 10000000] [--seed 1]</c>: so many conversations of frames and messages of jobs, half each,
/// with structured mutations: each ends in the one way that it may, and within the memory that is stated. Then the time
/// for a byte of longer and longer input.
/// </summary>
internal static class MutationsCommand
{
    private const int Steps = 20;

    public static int Run(Options options)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        var times = options.Number("--times", 10_000_000);
        var seed = options.Number("--seed", 1);
        var each = Math.Max(1, times / 2 / Steps);
        var (frames, messages) = ((Fed: 0L, Allocated: 0L), (Fed: 0L, Allocated: 0L));
        var clock = Stopwatch.StartNew();
        for (var step = 0; step < Steps; step++)
        {
            var (fed, allocated) = FrameFuzz.Run(each, seed + step);
            frames = (frames.Fed + fed, frames.Allocated + allocated);
            (fed, allocated) = LinkMessageFuzz.Run(each, seed + step);
            messages = (messages.Fed + fed, messages.Allocated + allocated);
            if (step % 5 == 4) Console.WriteLine($"{each * 2L * (step + 1):N0} in {clock.Elapsed.TotalSeconds:F0} s");
        }
        var half = each * (long)Steps;
        Console.WriteLine(
            $"{half:N0} conversations of frames: no other end than stated; {frames.Fed / half} bytes each, "
            + $"{frames.Allocated / half} allocated, connection and pipes included ({FrameFuzz.PerConnection} and "
            + $"{FrameFuzz.PerByte} a byte are allowed)");
        Console.WriteLine(
            $"{half:N0} messages of jobs: no exception; {messages.Fed / half} bytes each, "
            + $"{messages.Allocated / half} allocated ({LinkMessageFuzz.PerMessage} and {LinkMessageFuzz.PerByte} a "
            + "byte are allowed)");
        foreach (var count in new[] { 1_000, 10_000, 100_000, 1_000_000 })
        {
            var conversation = FrameFuzz.Long(count / 10);
            var message = LinkMessageFuzz.Result(count * 20);
            var head = LinkMessageFuzz.HeadOf(message);
            if (FrameFuzz.Hear(conversation) is { Kind: not ConnectionEndKind.ClosedByPeer } end)
                throw new InvalidOperationException($"a conversation without faults ended as {end}");
            var frameTime = Nanoseconds(conversation, b => FrameFuzz.Hear(b));
            var messageTime = Nanoseconds(message, b => LinkMessageFuzz.Hear(head, b, 65_528));
            Console.WriteLine(
                $"{conversation.Length,11:N0} bytes of frames: {frameTime:F2} ns a byte; "
                + $"{message.Length,11:N0} bytes of a message: {messageTime:F2} ns a byte");
        }
        return 0;
    }

    private static double Nanoseconds(byte[] bytes, Action<byte[]> hear)
    {
        var least = double.PositiveInfinity;
        for (var i = 0; i < 5; i++)
        {
            var began = Stopwatch.GetTimestamp();
            hear(bytes);
            least = Math.Min(least, Stopwatch.GetElapsedTime(began).TotalNanoseconds / bytes.Length);
        }
        return least;
    }
}
