using System.Runtime.CompilerServices;

namespace Flare.Tests.Rig;

/// <summary>
/// What leaves the loop and comes back from another thread, as after <c>Task.Run</c> or a wait on the wall clock; but
/// for certain: it is back before the loop can look.
/// </summary>
internal readonly struct FromElsewhere : INotifyCompletion
{
    public bool IsCompleted => false;

    public FromElsewhere GetAwaiter() => this;

    public void GetResult() { }

    public void OnCompleted(Action continuation)
    {
        var loop = SynchronizationContext.Current!;
        var elsewhere = new Thread(() => Return(loop, continuation));
        elsewhere.Start();
        elsewhere.Join();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Return(SynchronizationContext loop, Action continuation) =>
        loop.Post(_ => continuation(), null);
}
