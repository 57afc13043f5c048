namespace Flare.Runtime;

/// <summary>How far a job is. Workflows run one after another; a workflow's rounds only rise.</summary>
/// <param name="Workflow">The first workflow that is not complete.</param>
/// <param name="LastRound">Its last committed round.</param>
/// <param name="IsCompleted">Whether the job is done.</param>
internal readonly record struct JournalPosition(int Workflow, int? LastRound, bool IsCompleted)
{
    /// <exception cref="InvalidOperationException">The round is not next; so for the other steps.</exception>
    public JournalPosition AfterRound(int workflow, int round)
    {
        RequireCurrent(workflow);
        if (round < 0 || round <= LastRound)
            throw new InvalidOperationException(
                $"Round {round} of workflow {workflow} cannot be committed after "
                    + $"round {LastRound}; rounds rise, from 0 or above.");
        return this with { LastRound = round };
    }

    public JournalPosition AfterWorkflow(int workflow)
    {
        RequireCurrent(workflow);
        return new(workflow + 1, null, false);
    }

    public JournalPosition AfterJob()
    {
        RequireCurrent(Workflow);
        return this with { IsCompleted = true };
    }

    private void RequireCurrent(int workflow)
    {
        if (IsCompleted) throw new InvalidOperationException("The job is complete; its journal takes nothing more.");
        if (workflow != Workflow)
            throw new InvalidOperationException($"Workflow {workflow} is not the current one, which is {Workflow}.");
    }
}
