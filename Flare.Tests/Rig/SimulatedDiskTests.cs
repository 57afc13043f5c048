using Flare.Runtime;
using Flare.Testing;

namespace Flare.Tests.Rig;

/// <summary>
/// The disk allows a journal what <see cref="IJournalStorage"/> promises it, and does whatever that leaves open.
/// </summary>
public class SimulatedDiskTests
{
    private static readonly byte[] Old = [1, 2, 3, 4];
    private static readonly byte[] New = [5, 6, 7, 8, 9, 10];

    [Test]
    public void What_a_completed_call_wrote_survives_a_crash() => OnDisk(1, async disk =>
    {
        var storage = disk.Open();
        await ReplaceAsync(storage, Old);
        await storage.AppendAsync("file", New);
        await storage.TruncateAsync("file", 6);
        disk.Crash();
        Assert.That(await ReadAsync(disk), Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6 }));
    });

    [Test]
    public void A_crash_leaves_any_part_of_an_append_or_garbage_in_its_place()
    {
        HashSet<int> lengths = [];
        var garbage = false;
        for (var seed = 1UL; seed <= 100; seed++)
        {
            OnDisk(seed, async disk =>
            {
                var storage = disk.Open();
                await ReplaceAsync(storage, Old);
                await CrashDuringAsync(disk, storage.AppendAsync("file", New));
                var content = await ReadAsync(disk);
                Assert.That(content[..Old.Length], Is.EqualTo(Old));
                Assert.That(content, Has.Length.LessThanOrEqualTo(Old.Length + New.Length));
                lengths.Add(content.Length - Old.Length);
                garbage |= !New.AsSpan().StartsWith(content.AsSpan(Old.Length));
            });
        }
        Assert.That(lengths, Is.EquivalentTo(Enumerable.Range(0, New.Length + 1)));
        Assert.That(garbage, Is.True);
    }

    [Test]
    public void A_crash_leaves_a_replaced_file_as_it_was_or_as_it_was_to_be()
    {
        var replaced = 0;
        for (var seed = 1UL; seed <= 50; seed++)
        {
            OnDisk(seed, async disk =>
            {
                var storage = disk.Open();
                await ReplaceAsync(storage, Old);
                await CrashDuringAsync(disk, ReplaceAsync(storage, New));
                var content = await ReadAsync(disk);
                Assert.That(content, Is.EqualTo(Old).Or.EqualTo(New));
                replaced += content.Length == New.Length ? 1 : 0;
            });
        }
        Assert.That(replaced, Is.InRange(10, 40));
    }

    [Test]
    public void A_crash_may_bring_a_deleted_file_back()
    {
        var back = 0;
        for (var seed = 1UL; seed <= 50; seed++)
        {
            OnDisk(seed, async disk =>
            {
                var storage = disk.Open();
                await ReplaceAsync(storage, Old);
                await storage.DeleteAsync("file");
                Assert.That(await storage.ListAsync(), Is.Empty);
                disk.Crash();
                back += (await disk.Open().ListAsync()).Count;
            });
        }
        Assert.That(back, Is.InRange(5, 45));
    }

    [Test]
    public void A_failed_call_throws_and_may_have_happened() => OnDisk(3, async disk =>
    {
        var storage = disk.Open();
        await ReplaceAsync(storage, Old);
        disk.Faults = new() { Failure = 1 };
        Assert.That(await ThrownByAsync(storage.AppendAsync("file", New)), Is.InstanceOf<IOException>());
        disk.Faults = DiskFaults.None;
        Assert.That(await storage.ReadAsync("file", s => s.Length), Is.InRange(Old.Length, Old.Length + New.Length));
    });

    [Test]
    public void It_refuses_what_breaks_the_contract() => OnDisk(1, async disk =>
    {
        var storage = disk.Open();
        Assert.That(disk.Open, Throws.InvalidOperationException.With.Message.Contains("open"));
        var first = ReplaceAsync(storage, Old);
        Assert.That(
            await ThrownByAsync(ReplaceAsync(storage, New)),
            Is.InstanceOf<InvalidOperationException>().With.Message.Contains("one call at a time"));
        await first;
        Assert.That(await ThrownByAsync(storage.AppendAsync("other", New)), Is.InstanceOf<FileNotFoundException>());
        Assert.That(
            await ThrownByAsync(storage.TruncateAsync("file", 100)), Is.InstanceOf<ArgumentOutOfRangeException>());
        await storage.DisposeAsync();
        Assert.That(await ThrownByAsync(storage.ListAsync()), Is.InstanceOf<IOException>());
        Assert.That(await ReadAsync(disk), Is.EqualTo(Old));
    });

    private static void OnDisk(ulong seed, Func<SimulatedDisk, Task> test)
    {
        var loop = new SimulationLoop(seed);
        var end = loop.Run(() => test(new SimulatedDisk(loop)), TimeSpan.FromMinutes(1));
        Assert.That((end, loop.Escapes), Is.EqualTo((SimulationEnd.Completed, 0)));
    }

    private static async Task CrashDuringAsync(SimulatedDisk disk, Task write)
    {
        disk.Crash();
        Assert.That(await ThrownByAsync(write), Is.InstanceOf<IOException>());
    }

    // Not Assert.That with Throws, which would block the loop.
    private static async Task<Exception?> ThrownByAsync(Task call)
    {
        try
        {
            await call;
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }

    private static Task<int> ReplaceAsync(IJournalStorage storage, byte[] content) =>
        storage.ReplaceAsync("file", stream =>
    {
        stream.Write(content);
        return content.Length;
    });

    private static Task<byte[]> ReadAsync(SimulatedDisk disk) => disk.Open().ReadAsync("file", stream =>
    {
        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    });
}
