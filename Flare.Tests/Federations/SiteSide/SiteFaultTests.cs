using Flare.Runtime;
using Flare.Tests.Core.Journaling;

namespace Flare.Tests.Federations;

/// <summary>A site whose storage throws whatever it likes fails its task, or ends in words; it never hangs.</summary>
public class SiteFaultTests
{
    [Test]
    public async Task A_storage_of_states_that_throws_fails_the_task_by_name()
    {
        var (server, site, _) = Run(() => throw new InvalidOperationException("the vault is locked"));
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(() => ReadAsync(server).WaitAsync(Patience.Long))!;
        Assert.That(failure.Message, Does.Contain("site-1").And.Contain("the vault is locked"));
        await site.Ended.WaitAsync(Patience.Long);
    }

    [Test]
    public async Task A_storage_of_states_that_cannot_be_closed_ends_the_site_with_what_it_threw()
    {
        var (server, site, log) = Run(() => Task.FromResult<IJournalStorage>(new Stuck()));
        await ReadAsync(server).WaitAsync(Patience.Long);
        Assert.That(
            async () => await site.Ended.WaitAsync(Patience.Long),
            Throws.InvalidOperationException.With.Message.EqualTo("the door is stuck"));
        Assert.That(log.Entries.Select(e => e.Exception?.Message), Has.One.EqualTo("the door is stuck"));
    }

    private sealed class Stuck : IJournalStorage
    {
        private readonly MemoryStorage _inner = new();

        public string Location => _inner.Location;

        public Task<IReadOnlyList<string>> ListAsync() => _inner.ListAsync();

        public Task<T> ReadAsync<T>(string name, Func<Stream, T> read) => _inner.ReadAsync(name, read);

        public Task AppendAsync(string name, ReadOnlyMemory<byte> bytes) => _inner.AppendAsync(name, bytes);

        public Task TruncateAsync(string name, long length) => _inner.TruncateAsync(name, length);

        public Task<T> ReplaceAsync<T>(string name, Func<Stream, T> write) => _inner.ReplaceAsync(name, write);

        public Task DeleteAsync(string name) => _inner.DeleteAsync(name);

        public ValueTask DisposeAsync() => throw new InvalidOperationException("the door is stuck");
    }

    private static async Task ReadAsync(JobServer server)
    {
        await foreach (var _ in server.Reports.ReadAllAsync()) { }
    }

    private static (JobServer Server, SiteRuntime Site, LogRecorder Log) Run(Func<Task<IJournalStorage>> state)
    {
        var (loop, log) = (new JobLoop(_ => { }), new LogRecorder());
        var link = new InProcessLink(loop);
        var server = new JobServer(new()
        {
            JobId = "job", Loop = loop, Link = link, InitialModel = Sites.Model(0), Sites = ["site-1"],
            Controllers = [Sites.Training()],
        });
        var site = new SiteRuntime(new("site-1", Sites.Adding(1)), new()
        {
            JobId = "job", Loop = loop, Link = link.ConnectSite("site-1"), State = state,
            Policy = SitePolicy.InProcess, Logger = log.CreateLogger("Flare"),
        });
        loop.Post(_ => { _ = server.RunAsync(CancellationToken.None); site.Start(); }, null);
        return (server, site, log);
    }
}
