using Flare.Runtime;

namespace Flare.Testing;

/// <summary>Contributions as the runtime admits them, to unit-test an aggregator or a component without a
/// federation.</summary>
public static class TestContribution
{
    /// <summary>A site's answer to a task.</summary>
    /// <param name="site">The site that answers.</param>
    /// <param name="data">Its answer; frozen by this call, tensors included.</param>
    /// <param name="round">The round.</param>
    /// <param name="task">The task that is answered; one to train a model of the answer's layout, all zeros, if left
    /// out. <see cref="Contribution.ToWeights"/> adds a difference to the task's model.</param>
    /// <param name="rejected">Told the reason when the contribution is refused; null if nobody wants to
    /// know.</param>
    /// <exception cref="FlareException">The runtime would refuse the answer: its contract, or what it states of
    /// itself.</exception>
    public static Contribution Of(
        string site, Dxo data, int round = 1, FlareTask? task = null, Action<string>? rejected = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(site);
        ArgumentNullException.ThrowIfNull(data);
        task ??= data.HasTensors
            ? FlareTask.Train(round, new StateDict(data.Tensors.Layout))
            : new FlareTask(TaskNames.Train, round, new Shareable());
        var message = data.ToShareable();
        message.Headers[HeaderNames.TaskName] = task.Name;
        message.Headers[HeaderNames.CurrentRound] = task.Round;
        return UnitParts.Contribution(
            site, task, message.Freeze(), new TaskToken("test", 1, task.Round, 1), rejected ?? (static _ => { }));
    }
}
