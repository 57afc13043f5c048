using System.Net.Sockets;

namespace Flare.Transport;

/// <summary>The transports that a startup kit names by its addresses.</summary>
internal static class KitTransports
{
    // Sites may come by either family, whatever the address names.
    private static string Everywhere => Socket.OSSupportsIPv6 ? "::" : "0.0.0.0";

    /// <summary>
    /// Where a server listens: at the port of its kit's first address of <c>flare</c>, on all addresses of the machine,
    /// IPv6 and IPv4; where it names none, on its first Unix socket.
    /// </summary>
    /// <exception cref="FlareException">The kit is a site's, or names no such address.</exception>
    public static IFlareTransport ForServer(IdentitySource source, SocketOptions? options)
    {
        var identity = source.Current;
        if (identity.Role != FlareRole.Server)
            throw Wrong($"it is the kit of site '{identity.Name}', and a server needs a server's");
        var address = identity.Addresses.FirstOrDefault(a => a.Scheme == "flare")
            ?? identity.Addresses.FirstOrDefault(a => a.Scheme == "unix")
            ?? throw Wrong("it names no address of flare or unix to listen on; wss is for an ASP.NET Core host");
        return address.Scheme == "unix" ? SocketTransport.Unix(address.AbsolutePath, options).Proving(source)
            : SocketTransport.Tls(Everywhere, address.Port, source, options);
    }

    /// <summary>A site's ways to its server, tried one after the other.</summary>
    /// <exception cref="FlareException">The kit is a server's, or names no address.</exception>
    public static IFlareConnector ForSite(IdentitySource source, SocketOptions? options)
    {
        var identity = source.Current;
        if (identity.Role != FlareRole.Site)
            throw Wrong($"it is the kit of server '{identity.Name}', and a site needs a site's");
        return identity.Addresses.Count == 0 ? throw Wrong("it names no address of the server")
            : new InTurn(source, (options ?? new()).Checked());
    }

    private static IFlareConnector Way(Uri address, IdentitySource source, SocketOptions options) =>
        address.Scheme switch
        {
            "flare" => SocketTransport.Tls(address.IdnHost, address.Port, source, options),
            "unix" => SocketTransport.Unix(address.AbsolutePath, options).Proving(source),
            _ => new WebSocketConnector(address, options).WithProof(source, options.Time, options.Logging),
        };

    private static FlareException Wrong(string what) =>
        new(ErrorIds.Configuration, $"The startup kit does not serve here: {what}.");

    private sealed class InTurn(IdentitySource source, SocketOptions options) : IFlareConnector
    {
        private IReadOnlyList<Uri> _addresses = [];
        private IFlareConnector[] _ways = [];
        private int _next;

        public async ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken)
        {
            Follow();
            FrameException? last = null;
            for (var i = 0; i < _ways.Length; i++)
            {
                try
                {
                    return await _ways[_next].ConnectAsync(cancellationToken); // the one that led there stays first
                }
                catch (FrameException e)
                {
                    // One that is refused for good does not keep the others from being tried.
                    last = last is { IsTransient: true } ? last : e;
                    _next = (_next + 1) % _ways.Length;
                }
            }
            throw last!;
        }

        // A renewed kit may name other addresses.
        private void Follow()
        {
            var addresses = source.Current.Addresses;
            if (addresses.SequenceEqual(_addresses) || addresses.Count == 0) return;
            (_addresses, _next) = (addresses, 0);
            _ways = [.. addresses.Select(address => Way(address, source, options))];
        }
    }
}
