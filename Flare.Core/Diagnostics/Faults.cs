namespace Flare;

/// <summary>Refuses what its <c>Validate()</c> finds fault with, all of it at once.</summary>
internal static class Faults
{
    /// <param name="what">What cannot be, such as <c>server</c>.</param>
    /// <param name="faults">What is wrong.</param>
    /// <exception cref="FlareException">Something is.</exception>
    public static void Refuse(string what, IEnumerable<string> faults)
    {
        string[] all = [.. faults];
        if (all.Length > 0)
            throw new FlareException(ErrorIds.Configuration, $"The {what} cannot be built: {string.Join("; ", all)}.");
    }
}
