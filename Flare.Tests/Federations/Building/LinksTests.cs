using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>The links of a run are disposed of whatever becomes of it, and keep nothing else from its end.</summary>
public class LinksTests
{
    private sealed class Links(bool connects, bool closes) : IFederationLinks
    {
        private InProcessLink? _link;

        public int Disposed { get; private set; }

        public IServerLink ConnectServer(string job, SynchronizationContext jobLoop, RuntimeLimits limits) => connects
            ? _link = new InProcessLink(jobLoop) : throw new InvalidOperationException("the port is taken");

        public ISiteLink ConnectSite(
            string job, string site, SynchronizationContext jobLoop, Action<FlareException> fail) =>
            _link!.ConnectSite(site);

        public ValueTask DisposeAsync()
        {
            Disposed++;
            return closes ? default : throw new InvalidOperationException("the socket is gone");
        }
    }

    private static Federation Over(Links links) => Federation.InProcess(f => f.AddSites(1, _ => Sites.Adding(1))
        .UseController(Sites.Training()).UseLinks(_ => links));

    [Test]
    public async Task Links_whose_server_cannot_connect_are_disposed_of()
    {
        var links = new Links(connects: false, closes: true);
        await using var federation = Over(links);
        Assert.That(
            async () => await federation.RunToEndAsync(Sites.Model(0)),
            Throws.InvalidOperationException.With.Message.EqualTo("the port is taken"));
        Assert.That(links.Disposed, Is.EqualTo(1));
    }

    [Test]
    public async Task Links_that_cannot_be_disposed_of_keep_the_run_from_nothing()
    {
        var links = new Links(connects: true, closes: false);
        var federation = Over(links);
        await federation.RunToEndAsync(Sites.Model(0)).WaitAsync(Patience.Long);
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 1f }));
        Assert.That(
            async () => await federation.DisposeAsync().AsTask().WaitAsync(Patience.Long),
            Throws.TypeOf<AggregateException>().With.Message.Contains("the socket is gone"));
        await federation.DisposeAsync();
    }
}
