namespace Flare.Tests.Federations;

/// <summary>Whoever calls a factory disposes of what it made.</summary>
public class DisposalTests
{
    [Test]
    public async Task What_the_factories_made_is_disposed_of_once_the_last_made_first()
    {
        var disposed = new List<string>();
        await using (var federation = Federation.InProcess(f => f
            .AddSites(2, site => new Held(site.Name, disposed))
            .AddExecutor("ages", site => new HeldBoth($"{site.Name} ages", disposed))
            .ConfigureSites((site, info) =>
            {
                var filter = new HeldFilter($"{info.Name} filter", disposed);
                site.AddFilter(FilterPlace.SiteIn, filter).AddFilter(FilterPlace.SiteOut, filter);
            })
            .UseController(Sites.Training(minSites: 2))))
        {
            await federation.RunToEndAsync(Sites.Model(1));
            Assert.That(disposed, Is.Empty);
            await federation.DisposeAsync();
        }
        Assert.That(
            disposed, Is.EqualTo(
                new[] { "site-2 filter", "site-2 ages async", "site-2", "site-1 filter", "site-1 ages async",
                    "site-1" }));
    }

    [Test]
    public async Task What_throws_as_it_is_disposed_of_keeps_none_of_the_others()
    {
        var disposed = new List<string>();
        var federation = Federation.InProcess(f => f
            .AddSite("good", site => new Held(site.Name, disposed)).AddSite("bad", _ => new Held(null!, disposed))
            .UseController(Sites.Training()));
        var failure = Assert.ThrowsAsync<AggregateException>(async () => await federation.DisposeAsync())!;
        Assert.That(failure.InnerExceptions.Single().Message, Is.EqualTo("cannot be closed"));
        Assert.That(disposed, Is.EqualTo(new[] { "good" }));
        await federation.DisposeAsync(); // once
    }

    [Test]
    public void A_factory_that_throws_is_named_by_its_site_and_what_the_others_made_is_disposed_of()
    {
        var disposed = new List<string>();
        using var all = new CountdownEvent(2);
        var failure = Assert.Throws<FlareException>(() => Federation.InProcess(f => f
            .AddSites(
                3, site => site.Index == 2 ? throw new FileNotFoundException("no such file: ages.csv")
                : new Held(site.Name, disposed, all)).UseController(Sites.Training())))!;
        Assert.That(failure.Message, Does.Contain("site-3").And.Contain("no such file: ages.csv"));
        Assert.That(failure.InnerException, Is.TypeOf<FileNotFoundException>());
        Assert.That(all.Wait(Patience.Long));
        Assert.That(disposed, Is.EqualTo(new[] { "site-2", "site-1" }));
    }

    [Test]
    public async Task An_executor_that_ignores_its_abort_is_disposed_of_once_it_has_stopped()
    {
        var disposed = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        var started = new TaskCompletionSource();
        var deaf = new Deaf(release.Task, started, disposed);
        await using (var federation = Federation.InProcess(f => f
            .AddSite("deaf", _ => deaf).UseLimits(new() { AbortGrace = TimeSpan.FromMilliseconds(30) })
            .UseController(Sites.Training())))
        {
            var run = federation.RunToEndAsync(Sites.Model(1));
            await started.Task.WaitAsync(Patience.Long);
            await federation.DisposeAsync();
            Assert.That(() => run, Throws.InstanceOf<OperationCanceledException>());
            Assert.That(disposed.Task.IsCompleted, Is.False);
        }
        release.SetResult();
        await disposed.Task.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task A_federation_that_is_disposed_of_does_not_run()
    {
        var federation = Federation.InProcess(
            f => f.AddSite("a", _ => Sites.Adding(1)).UseController(Sites.Training()));
        await federation.DisposeAsync();
        Assert.That(
            async () => await federation.RunToEndAsync(Sites.Model(1)), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public async Task An_executor_at_work_in_a_federation_is_refused_by_another_and_free_again_after_it()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var one = Sites.Gated(gate.Task, 1, started: () => started.TrySetResult());
        Federation Make() => Federation.InProcess(f => f.AddSite("a", _ => one).UseController(Sites.Training()));
        await using var first = Make();
        await using var second = Make();
        var running = first.RunToEndAsync(Sites.Model(1));
        await started.Task.WaitAsync(Patience.Long);
        Assert.That(async () => await second.RunToEndAsync(Sites.Model(1)),
            Throws.TypeOf<FlareException>().With.Message.Contains("Scripted").And.Message.Contains(
                "at work in another federation"));
        gate.SetResult();
        await running.WaitAsync(Patience.Long);
        await using var third = Make();
        await third.RunToEndAsync(Sites.Model(1)).WaitAsync(Patience.Long);
        Assert.That(third.Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    private class Held(string name, List<string> disposed, CountdownEvent? all = null) : Executor, IDisposable
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));

        public void Dispose()
        {
            if (name is null) throw new IOException("cannot be closed");
            lock (disposed) disposed.Add(name);
            all?.Signal();
        }
    }

    private sealed class HeldBoth(string name, List<string> disposed) : Held(name, disposed), IAsyncDisposable
    {
        private readonly List<string> _disposed = disposed;
        private readonly string _name = name;

        public ValueTask DisposeAsync()
        {
            lock (_disposed) _disposed.Add($"{_name} async");
            return ValueTask.CompletedTask;
        }
    }

    private sealed class HeldFilter(string name, List<string> disposed) : Filter, IDisposable
    {
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) => ValueTask.FromResult(message);

        public void Dispose()
        {
            lock (disposed) disposed.Add(name);
        }
    }

    private sealed class Deaf(Task release, TaskCompletionSource started, TaskCompletionSource disposed) :
        Executor, IDisposable
    {
        public override async ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            started.SetResult();
            await release; // no token
            return new Shareable();
        }

        public void Dispose() => disposed.SetResult();
    }
}
