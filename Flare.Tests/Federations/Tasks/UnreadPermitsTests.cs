namespace Flare.Tests.Federations;

/// <summary>What a workflow leaves unread does not take room from the next one.</summary>
public class UnreadPermitsTests
{
    [Test]
    public async Task Answers_that_a_workflow_left_unread_hold_no_permit_against_the_workflow_after_it()
    {
        const int sites = 3;
        var count = 0;
        var arrived = new[] { NewSignal(), NewSignal() };
        var counter = new LambdaComponent((type, context) =>
        {
            if (type == EventTypes.AfterProcessSubmission && ++count % sites == 0)
                arrived[(count / sites) - 1].TrySetResult();
        });
        Controller Asking(int index) => new Workflow(async (context, abort) =>
        {
            var answers = context.BroadcastAsync(FlareTask.Train(1, context.Model), abort: abort);
            await arrived[index].Task.WaitAsync(abort); // all at once, though nobody reads: there is a permit for each
            Assert.That(answers.Sites.Select(s => s.Status), Is.All.EqualTo(SiteStatus.Accepted));
            await context.CommitAsync(1, Sites.Model(index), abort);
        });
        await using var federation = Federation.InProcess(f => f
            .AddSites(sites, _ => Sites.Adding(1)).UseController(Asking(0)).UseController(Asking(1))
            .AddServerComponent(counter)
            .UseLimits(new() { MaxConcurrentUploads = sites, SmallResultBytes = 0 }));
        var rounds = await federation.RunToEndAsync(Sites.Model(0)).WaitAsync(Patience.Long);
        Assert.That(rounds, Has.Count.EqualTo(2));
    }

    private static TaskCompletionSource NewSignal() => new();
}
