namespace Flare;

/// <summary>
/// What a package adds to federations, such as encryption: a half at the server and a half at the sites. One call adds
/// it to a federation in one process, to a server alone or to a site alone, each of which takes the halves that it has.
/// </summary>
/// <example>A verb for all of them:
/// <code>
/// public static TBuilder UseMine&lt;TBuilder&gt;(this TBuilder builder) where TBuilder : IExtensible
/// {
///     builder.Extend(new MyExtension());
///     return builder;
/// }
/// </code></example>
public interface IFederationExtension
{
    /// <summary>Adds the server's half. Called once, when the extension is added; before the sites' half.</summary>
    /// <param name="server">The server that is being built.</param>
    void Configure(IServerBuilder server);

    /// <summary>Adds the half of a site, or of all sites of this process. Called once, when the extension is
    /// added.</summary>
    /// <param name="sites">The sites that are being built.</param>
    void Configure(ISiteBuilder sites);
}

/// <summary>What extensions can be added to: the builders of a federation, of a server, of a site.</summary>
public interface IExtensible
{
    /// <summary>Adds an extension's halves that this builder has.</summary>
    /// <param name="extension">The extension.</param>
    void Extend(IFederationExtension extension);
}
