namespace Flare.Transport;

internal static class LinkSettings
{
    /// <exception cref="FlareException">The limits contradict themselves; all that is wrong is listed.</exception>
    public static void Require(LinkLimits limits)
    {
        var errors = string.Join("; ", limits.Validate());
        if (errors.Length > 0) throw new FlareException(ErrorIds.Configuration, $"Limits of links: {errors}.");
    }
}
