namespace Flare.Tests.Federations;

/// <summary>What the server's own strangers register with the job's token does not hold up its end.</summary>
public class AbortTests
{
    private static StateDict Initial => Sites.Model(1);

    [Test]
    public async Task What_a_workflow_registers_with_its_token_blocks_neither_cancel_nor_dispose([Values] bool dispose)
    {
        using var unblock = new ManualResetEventSlim();
        var blocks = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var workflow = new Workflow(async (federation, abort) =>
        {
            abort.Register(() =>
            {
                blocks.SetResult();
                unblock.Wait(Patience.Long);
            });
            begun.SetResult();
            await foreach (var _ in federation.BroadcastAsync(FlareTask.Train(1, federation.Model), null, abort)) { }
        });
        await EndsAsync(dispose, begun.Task, blocks.Task, unblock, f => f.UseController(workflow), Sites.Hanging());
    }

    [Test]
    public async Task What_a_filter_of_the_server_registers_blocks_neither_cancel_nor_dispose([Values] bool dispose)
    {
        using var unblock = new ManualResetEventSlim();
        var blocks = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var filter = new Registering(() =>
        {
            blocks.TrySetResult();
            unblock.Wait(Patience.Long);
        });
        await EndsAsync(
            dispose, begun.Task, blocks.Task, unblock,
            f => f.UseController(Sites.Training()).AddServerFilter(FilterPlace.ServerOut, filter),
            Sites.Hanging(begun.SetResult));
    }

    private static async Task EndsAsync(
        bool dispose, Task begun, Task blocks, ManualResetEventSlim unblock, Action<FederationBuilder> configure,
        Executor executor)
    {
        using var abort = new CancellationTokenSource();
        var federation = Federation.InProcess(f =>
        {
            f.AddSites(1, _ => executor).UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(50) });
            configure(f);
        });
        var run = federation.RunToEndAsync(Initial, abort.Token);
        await begun.WaitAsync(Patience.Long);
        var disposal = Task.CompletedTask;
        if (dispose) disposal = federation.DisposeAsync().AsTask();
        else abort.Cancel();
        await blocks.WaitAsync(Patience.Long);
        Assert.That(
            () => run.WaitAsync(Patience.Long / 2), Throws.InstanceOf<OperationCanceledException>(),
            "while the callback still blocks");
        await disposal.WaitAsync(Patience.Long);
        Assert.That(unblock.IsSet, Is.False);
        unblock.Set();
        await federation.DisposeAsync();
    }

    private sealed class Registering(Action callback) : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
        {
            abort.Register(callback);
            return ValueTask.FromResult(message);
        }
    }
}
