using System.Reflection;
using Microsoft.Extensions.Logging;

namespace Flare.Tests.Solution;

/// <summary>An event id of the log names one message.</summary>
public class EventIdTests
{
    private static readonly BindingFlags All =
        BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

    [Test]
    public void No_two_messages_of_the_packages_have_one_event_id()
    {
        var messages = Directory.GetFiles(TestContext.CurrentContext.TestDirectory, "Flare.*.dll")
            .Where(file => !Path.GetFileName(file).Contains("Tests", StringComparison.Ordinal))
            .Select(Assembly.LoadFrom).SelectMany(assembly => assembly.GetTypes())
            .SelectMany(type => type.GetMethods(All | BindingFlags.DeclaredOnly))
            .Select(method => (Name: $"{method.DeclaringType}.{method.Name}",
                method.GetCustomAttribute<LoggerMessageAttribute>()?.EventId))
            .Where(message => message.EventId is not null).ToArray();
        Assert.That(messages, Has.Length.GreaterThan(40));
        var shared = messages.GroupBy(m => m.EventId).Where(g => g.Count() > 1)
            .Select(g => $"{g.Key}: {string.Join(", ", g.Select(m => m.Name))}");
        Assert.That(shared, Is.Empty);
    }
}
