namespace Flare.Tests.Federations;

/// <summary>What a round has committed stays as it was, and is of the job's model.</summary>
public class CommittedStateTests
{
    [Test]
    public async Task A_committed_state_is_changed_by_nobody_while_the_workflow_goes_on_with_its_own()
    {
        var workflow = new Workflow(async (context, abort) =>
        {
            for (var round = 1; round <= 3; round++)
            {
                context.State.Tensors["momentum"] = Sites.Model(round);
                context.State.Values["x"] = round;
                context.State.Values["list"] = FlareValue.List([round]);
                await context.CommitAsync(round, Sites.Model(round), abort);
            }
        });
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow));
        var states = new List<RunState>();
        await foreach (var round in federation.RunAsync(Sites.Model(0)))
        {
            AssertFixed(round.State);
            AssertFixed(federation.State);
            states.Add(round.State);
        }
        Assert.That(
            states.Select(s => (s.Tensors["momentum"].Values()[0], s.Values["x"].AsInteger())),
            Is.EqualTo(new[] { (1f, 1L), (2f, 2L), (3f, 3L) }));
    }

    [Test]
    public async Task The_state_before_the_first_commit_is_no_way_in_either()
    {
        var workflow = new Workflow((_, _) => Task.CompletedTask);
        await using var federation = Federation.InProcess(
            f => f.AddSites(1, _ => Sites.Adding(1)).UseController(workflow));
        await federation.RunToEndAsync(Sites.Model(0));
        AssertFixed(federation.State);
        Assert.That(federation.State.Tensors, Is.Empty);
    }

    private static readonly (StateDict Model, string Words)[] Others =
    [
        (StateDict.Create(("w", [1f]), ("extra", [2f])), "'extra' is not expected"),
        (StateDict.Create(("v", [1f])), "'w' is missing"),
        (StateDict.Create(("w", [1f, 2f])), "'w' is"),
    ];

    [TestCaseSource(nameof(Others))]
    public async Task A_model_of_another_layout_is_not_committed_and_the_first_difference_named(
        (StateDict Model, string Words) other)
    {
        var refused = new List<Exception>();
        var run = await Sites.RunAsync(new Workflow(async (context, abort) =>
        {
            try
            {
                await context.CommitAsync(1, other.Model, abort);
            }
            catch (ArgumentException e)
            {
                refused.Add(e);
            }
            await context.CommitAsync(1, Sites.Model(7), abort);
        }), Sites.Model(0), Sites.Adding(1));
        Assert.That(refused.Single().Message, Does.Contain("round 1").And.Contain(other.Words));
        Assert.That(run.Model.Values(), Is.EqualTo(new[] { 7f }));
    }

    private static void AssertFixed(RunState state)
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => state.Tensors["mine"] = Sites.Model(9), Throws.InstanceOf<NotSupportedException>());
            Assert.That(() => state.Tensors.Remove("momentum"), Throws.InstanceOf<NotSupportedException>());
            Assert.That(() => state.Tensors.Clear(), Throws.InstanceOf<NotSupportedException>());
            Assert.That(() => state.Values["x"] = 9, Throws.InvalidOperationException);
            foreach (var tensors in state.Tensors.Values) Assert.That(tensors.IsReadOnly);
        }
    }
}
