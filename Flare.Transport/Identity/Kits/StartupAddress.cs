namespace Flare.Transport;

/// <summary>Addresses of servers, as they stand in startup kits and project files.</summary>
public static class StartupAddress
{
    private const int MostCharacters = 1000;

    /// <summary>
    /// Whether something is the address of a server: <c>flare://host:8002</c> (frames over TLS),
    /// <c>wss://host/flare</c> (the same frames over WebSocket), or <c>unix:/path</c> (over a Unix socket).
    /// </summary>
    public static bool IsRight(Uri address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return address.IsAbsoluteUri && address.OriginalString.Length <= MostCharacters && address.Scheme switch
        {
            "flare" => address is { Host.Length: > 0, Port: > 0, UserInfo: "", Query: "", Fragment: "" }
                && address.AbsolutePath is "" or "/",
            "wss" => address is { Host.Length: > 0, UserInfo: "", Fragment: "" },
            "unix" => address is { Host: "", AbsolutePath.Length: > 1 } && address.AbsolutePath[0] == '/',
            _ => false,
        };
    }
}
