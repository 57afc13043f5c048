using System.Net;
using System.Net.WebSockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flare.Transport;

/// <summary>How a <see cref="SocketTransport"/> and a kit's ways connect and listen.</summary>
public sealed record SocketOptions
{
    /// <summary>What may be spent on connections that have not proven who they are.</summary>
    public ListenLimits Limits { get; init; } = new();

    /// <summary>How long connecting may take in all, at most a day; 15 s unless set.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// The proxy on the way to addresses of <c>wss</c>, with its credentials where it asks for some; the system's
    /// unless set. TLS goes through it by CONNECT.
    /// </summary>
    public IWebProxy? Proxy { get; init; }

    /// <summary>What else a connection to an address of <c>wss</c> needs: client certificates, headers, the check of
    /// the server's certificate.</summary>
    public Action<ClientWebSocketOptions>? ConfigureWebSocket { get; init; }

    /// <summary>The clock, for timeouts and for certificates; the system's unless set.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where to log; nowhere unless set.</summary>
    public ILoggerFactory Logging { get; init; } = NullLoggerFactory.Instance;

    /// <summary>Everything that is wrong with these options; nothing where all is well.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (var error in Limits.Validate()) yield return error;
        if (Times.Fault(nameof(ConnectTimeout), ConnectTimeout) is { } fault) yield return fault;
    }

    internal SocketOptions Checked()
    {
        var errors = string.Join("; ", Validate());
        return errors.Length == 0 ? this
            : throw new FlareException(ErrorIds.Configuration, $"Options of a transport: {errors}.");
    }
}
