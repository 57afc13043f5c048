using Flare.Workflows;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>A workflow that does not read what it asks for is told so: the answers stay in memory.</summary>
public class UnreadAnswersTests
{
    [Test]
    public async Task Broadcasts_that_nobody_reads_are_warned_about_once_in_the_log_and_in_a_rounds_report()
    {
        var log = new LogRecorder();
        await using var federation = await RunAsync(log, rounds: 5, static (_, _) => Task.CompletedTask);
        Assert.That(Warnings(log), Has.Length.EqualTo(1));
        Assert.That(
            Warnings(log)[0],
            Does.Contain("task 'train' (of round 1: 2)").And.Contain("the workflow Workflow").And.Contain("foreach"));
        Assert.That(federation.Rounds.SelectMany(r => r.Warnings), Is.EqualTo(Warnings(log)));
    }

    [Test]
    public async Task The_only_round_of_a_workflow_is_warned_about_at_the_workflows_end()
    {
        var log = new LogRecorder();
        await using var federation = await RunAsync(log, rounds: 1, static (_, _) => Task.CompletedTask);
        Assert.That(Warnings(log), Has.Length.EqualTo(1));
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task Answers_that_are_read_a_round_later_or_left_after_the_first_are_no_reason_to_warn(bool later)
    {
        var log = new LogRecorder();
        TaskResponses? before = null;
        await using var federation = await RunAsync(log, rounds: 4, async (answers, isLast) =>
        {
            if (later && before is not null) await ReadAsync(before);
            before = answers;
            if (!later || isLast) await ReadAsync(answers);
        });
        Assert.That(Warnings(log), Is.Empty);
        Assert.That(federation.Rounds.SelectMany(r => r.Warnings), Is.Empty);

        static async Task ReadAsync(TaskResponses answers)
        {
            await foreach (var _ in answers) break;
        }
    }

    private static async Task<Federation> RunAsync(
        LogRecorder log, int rounds, Func<TaskResponses, bool, Task> withAnswers)
    {
        var workflow = new Workflow(async (context, abort) =>
        {
            for (var round = 1; round <= rounds; round++)
            {
                var answers = context.BroadcastAsync(FlareTask.Train(round, context.Model), abort: abort);
                await withAnswers(answers, round == rounds);
                while (answers.Status == CompletionStatus.Running)
                    await Task.Yield();
                await context.CommitAsync(round, Sites.Model(round), abort);
            }
        });
        return await Sites.RunAsync(
            workflow, Sites.Model(0), f => f.UseLogging(log), Sites.Adding(1), Sites.Adding(2));
    }

    private static string[] Warnings(LogRecorder log) =>
    [
        .. log.Entries.Where(e => e.Level == LogLevel.Warning
            && e.Message.Contains("nobody reads", StringComparison.Ordinal)).Select(e => e.Message),
    ];
}
