namespace Flare.Transport;

/// <summary>The transports that a startup kit names by its addresses.</summary>
internal static class KitTransports
{
    /// <summary>Where a server listens: its kit's first address that is not a proxy's.</summary>
    /// <exception cref="FlareException">The kit is a site's, or names no such address.</exception>
    public static IFlareTransport ForServer(FlareIdentity identity, SocketOptions? options)
    {
        if (identity.Role != FlareRole.Server)
            throw Wrong($"it is the kit of site '{identity.Name}', and a server needs a server's");
        var address = identity.Addresses.FirstOrDefault(a => a.Scheme == "flare")
            ?? identity.Addresses.FirstOrDefault(a => a.Scheme == "unix")
            ?? throw Wrong("it names no address of flare or unix to listen on; wss is for an ASP.NET Core host");
        return address.Scheme == "unix" ? SocketTransport.Unix(address.AbsolutePath, options)
            : SocketTransport.Tls("0.0.0.0", address.Port, identity, options);
    }

    /// <summary>A site's ways to its server, tried one after the other.</summary>
    /// <exception cref="FlareException">The kit is a server's, or names no address.</exception>
    public static IFlareConnector ForSite(FlareIdentity identity, SocketOptions? options)
    {
        if (identity.Role != FlareRole.Site)
            throw Wrong($"it is the kit of server '{identity.Name}', and a site needs a site's");
        IFlareConnector[] ways = [.. identity.Addresses.Select(address => Way(address, identity, options))];
        if (ways.Length == 0) throw Wrong("it names no address of the server");
        return ways.Length == 1 ? ways[0] : new InTurn(ways);
    }

    private static IFlareConnector Way(Uri address, FlareIdentity identity, SocketOptions? options) =>
        address.Scheme switch
        {
            "flare" => SocketTransport.Tls(address.IdnHost, address.Port, identity, options),
            "unix" => SocketTransport.Unix(address.AbsolutePath, options).WithProof(identity, options?.Time),
            _ => new WebSocketConnector(address).WithProof(identity, options?.Time),
        };

    private static FlareException Wrong(string what) =>
        new(ErrorIds.Configuration, $"The startup kit does not serve here: {what}.");

    private sealed class InTurn(IFlareConnector[] ways) : IFlareConnector
    {
        private int _next;

        public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
        {
            FrameException? last = null;
            for (var i = 0; i < ways.Length; i++)
            {
                try
                {
                    return await ways[_next].ConnectAsync(cancellationToken); // the one that led there stays the first
                }
                catch (FrameException e)
                {
                    // One that is refused for good does not keep the others from being tried.
                    last = last is { IsTransient: true } ? last : e;
                    _next = (_next + 1) % ways.Length;
                }
            }
            throw last!;
        }
    }
}
