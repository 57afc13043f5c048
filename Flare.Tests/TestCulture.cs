using System.Globalization;

namespace Flare.Tests;

/// <summary>
/// Runs all tests in the culture that the variable FLARE_TEST_CULTURE names, as .ci/run does with a German's numbers
/// and a Turk's letters. The tests' program is not fixed to the invariant culture as others here are: it has what the
/// SDK has that runs it.
/// </summary>
[SetUpFixture]
public sealed class TestCulture
{
    [OneTimeSetUp]
    public void Take()
    {
        if (Environment.GetEnvironmentVariable("FLARE_TEST_CULTURE") is not { Length: > 0 } name) return;
        // throws where ICU is missing: nothing would be tested
        var culture = CultureInfo.GetCultureInfo(name, predefinedOnly: true);
        (CultureInfo.DefaultThreadCurrentCulture, CultureInfo.CurrentCulture) = (culture, culture);
    }
}
