using Flare.Runtime;

namespace Flare.Tests.Federations;

/// <summary>What a site played by a test says first.</summary>
internal static class Hello
{
    /// <summary>The terms of <see cref="ServerBench"/>.</summary>
    public static HelloTerms Terms { get; } = new("job", 0, FlareProtocol.Version, "", "");

    public static Heard Of(string site, long incarnation, HelloTerms? terms = null, Guid process = default) =>
        new(site, incarnation, 0, new SiteHello(process, terms ?? Terms));
}
