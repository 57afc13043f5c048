using Flare.Testing;
using Flare.Workflows;

namespace Flare.Outside.Tests;

/// <summary>Executors and filters that wrap others, written outside of Flare: nothing of what the runtime tells them is
/// lost on its way inwards.</summary>
public class DecoratorTests
{
    [Test]
    public async Task A_decorator_sees_every_task_and_passes_on_events_the_end_and_disposal()
    {
        var inner = new Told();
        var counting = new Counting(inner);
        await using (var federation = Federation.InProcess(f => f
            .AddSite("site-1", _ => counting)
            .UseController(new FedAvg { Rounds = 2, Validation = ValidationMode.None })))
        {
            await federation.RunToEndAsync(StateDict.Create(("w", [1f])));
            Assert.That(inner.Disposed, Is.Zero);
        }
        Assert.That(counting.Tasks, Is.EqualTo(new[] { "train 1", "train 2" }));
        Assert.That((inner.Finalized, inner.Disposed), Is.EqualTo((1, 1)));
        Assert.That(
            inner.Events, Has.Exactly(1).EqualTo(EventTypes.StartRun).And.Exactly(1).EqualTo(EventTypes.EndRun));
    }

    [Test]
    public async Task A_decorating_filter_passes_on_messages_events_and_disposal()
    {
        var inner = new ToldFilter();
        var model = StateDict.Create(("w", [1f]));
        await using (var federation = Federation.InProcess(f => f
            .AddSite("site-1", _ => new Adding(1))
            .ConfigureSites((site, _) => site.AddFilter(FilterPlace.SiteOut, new Quiet(inner)))
            .UseController(new FedAvg { Rounds = 2, Validation = ValidationMode.None })))
            await federation.RunToEndAsync(model);
        Assert.That((inner.Messages, inner.Disposed), Is.EqualTo((2, 1)));
        Assert.That(inner.Events, Has.Exactly(1).EqualTo(EventTypes.EndRun));
    }

    [Test]
    public void What_two_decorators_wrap_is_not_shared_by_two_sites()
    {
        var shared = new Told();
        Assert.That(
            () => Federation.InProcess(
                f => f.AddSites(2, _ => new Counting(shared)).UseController(new FedAvg { Rounds = 1 })),
            Throws.TypeOf<FlareException>().With.Message.Contains("site-1 and site-2 share one Told"));
    }

    [Test]
    public async Task A_decorator_by_itself()
    {
        var counting = new Counting(new Told());
        var task = Dxo.Weights(StateDict.Create(("w", [1f]))).ToShareable().Freeze();
        var answer = await counting.ExecuteAsync(
            TaskNames.Train, task, TestContexts.ForSite("site-1", round: 3), CancellationToken.None);
        Assert.That(Dxo.From(answer).Tensors["w"].AsReadOnlySpan<float>().ToArray(), Is.EqualTo(new[] { 1f }));
        Assert.That(counting.Tasks, Is.EqualTo(new[] { "train 3" }));
    }

    private sealed class Counting(Executor inner) : DelegatingExecutor(inner)
    {
        public List<string> Tasks { get; } = [];

        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            Tasks.Add($"{taskName} {context.Round}");
            return base.ExecuteAsync(taskName, input, context, abort);
        }
    }

    private sealed class Told : Learner, IDisposable
    {
        public List<string> Events { get; } = [];
        public int Finalized { get; private set; }
        public int Disposed { get; private set; }

        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Answers.Plus(model.Tensors, 1));

        protected override ValueTask FinalizeAsync(FLContext context)
        {
            Finalized++;
            return ValueTask.CompletedTask;
        }

        protected override void HandleEvent(string eventType, FLContext context) => Events.Add(eventType);

        public void Dispose() => Disposed++;
    }

    private sealed class Quiet(Filter inner) : DelegatingFilter(inner);

    private sealed class ToldFilter : Filter, IDisposable
    {
        public List<string> Events { get; } = [];
        public int Messages { get; private set; }
        public int Disposed { get; private set; }

        public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
        {
            Messages++;
            return ValueTask.FromResult(message);
        }

        protected override void HandleEvent(string eventType, FLContext context) => Events.Add(eventType);

        public void Dispose() => Disposed++;
    }
}
