using Flare.Tests.Federations;
using Flare.Workflows;

namespace Flare.Tests.Workflows;

/// <summary>Sets that cannot be, and who is told.</summary>
public class TensorSetTests
{
    [TestCase("optimizer/model/velocity"), TestCase("optimizer/x")]
    public void A_name_of_what_optimizers_keep_is_refused(string name) =>
        Assert.That(() => new TensorSet(name), Throws.ArgumentException.With.Message.Contains("optimizer/"));

    [TestCase("NaN", "in the tensor 'c'"), TestCase("null", "returned null"), TestCase("throws", "no such thing")]
    public void A_first_value_that_is_none_is_told_of_before_any_site_trains(string what, string expected)
    {
        var trained = 0;
        var workflow = new FedAvg { Rounds = 1, Sets = [new("control") { Initial = _ => what switch
        {
            "NaN" => StateDict.Create(("c", [1f, float.NaN])),
            "null" => null!,
            _ => throw new InvalidOperationException("no such thing"),
        } }] };
        var error = Assert.ThrowsAsync<FlareException>(() => Sites.RunAsync(
            workflow, Sites.Model(0), new Scripted((_, _, _, _) =>
            {
                trained++;
                return ValueTask.FromResult(new Shareable());
            })))!;
        Assert.That(error.Message, Does.Contain("'control'").And.Contain(expected).And.Contain("Initial"));
        Assert.That(trained, Is.Zero);
    }
}
