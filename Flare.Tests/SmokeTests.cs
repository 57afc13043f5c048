namespace Flare.Tests;

public class SmokeTests
{
    [Test]
    public void Runs_on_net_10_or_later() => Assert.That(Environment.Version.Major, Is.GreaterThanOrEqualTo(10));
}
