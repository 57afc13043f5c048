namespace Flare;

/// <summary>What a message's body is.</summary>
public static class ContentTypes
{
    /// <summary>A <see cref="Flare.Dxo"/>.</summary>
    public const string Dxo = "DXO";
}

/// <summary>
/// A message between server and sites (FLARE: Shareable): a body of named values, and headers. The runtime attaches
/// task, token, workflow, round, cookies and peer properties to every message and every reply, error replies included;
/// executors never have to. A message is frozen when it is sent: in process it travels without a copy.
/// </summary>
public sealed class Shareable
{
    /// <summary>Creates a message.</summary>
    /// <param name="body">The body, shared, not copied; empty if left out.</param>
    public Shareable(FlareMap? body = null) : this(body ?? [], []) { }

    internal Shareable(FlareMap body, FlareMap headers) => (Body, Headers) = (body, headers);

    /// <summary>The named values.</summary>
    public FlareMap Body { get; }

    /// <summary>The header section, by <see cref="HeaderNames"/> and names of the application's own.</summary>
    public FlareMap Headers { get; }

    /// <summary>How the task went; <see cref="ReturnCode.Ok"/> unless set.</summary>
    public ReturnCode ReturnCode
    {
        get =>
            Headers.TryGet(HeaderNames.ReturnCode, out var code)
            ? code.AsInteger() is >= 0 and <= int.MaxValue and var known ? (ReturnCode)known : ReturnCode.Error
            : ReturnCode.Ok;
        set => Headers[HeaderNames.ReturnCode] = (int)value;
    }

    /// <summary>What the body is, one of <see cref="ContentTypes"/>; null where nobody said.</summary>
    public string? ContentType
    {
        get => Headers.TryGet(HeaderNames.ContentType, out var type) ? type.AsText() : null;
        set => Headers[HeaderNames.ContentType] = value;
    }

    /// <summary>The task that the message brings or answers; set by the runtime.</summary>
    public string? TaskName => Headers.TryGet(HeaderNames.TaskName, out var name) ? name.AsText() : null;

    /// <summary>The round; set by the runtime.</summary>
    public int? Round =>
        Headers.TryGet(HeaderNames.CurrentRound, out var round) ? checked((int)round.AsInteger()) : null;

    /// <summary>What went wrong, in an error reply.</summary>
    public ErrorRecord? Error => Headers.TryGet(HeaderNames.Error, out var error)
        ? ErrorRecord.FromMap(error.AsMap()) with { Exception = Cause }
        : null;

    /// <summary>The exception that the error reply is made of, where it was thrown in this process.</summary>
    internal Exception? Cause { get; private init; }

    /// <summary>A reply without a body that tells of an error.</summary>
    internal static Shareable Reply(ReturnCode code, ErrorRecord error)
    {
        var reply = new Shareable { ReturnCode = code, Cause = error.Exception };
        reply.Headers[HeaderNames.Error] = error.ToMap();
        return reply;
    }

    /// <summary>The sender's public properties; null where it sent none, or something else in their place.</summary>
    internal FlareMap? PeerProperties =>
        Headers.TryGet(HeaderNames.PeerProperties, out var properties) && properties.Kind == FlareValueKind.Map
        ? properties.AsMap() : null;

    /// <summary>A reply without a body.</summary>
    /// <param name="code">How the task went.</param>
    /// <param name="message">For the operator: what happened and what to do.</param>
    public static Shareable Reply(ReturnCode code, string? message = null)
    {
        var reply = new Shareable { ReturnCode = code };
        if (message is not null)
            reply.Headers[HeaderNames.Error] = new ErrorRecord { Type = code.ToString(), Message = message }.ToMap();
        return reply;
    }

    /// <summary>Sets a value that the answer to this message brings back unread (FLARE: cookie jar).</summary>
    public Shareable WithCookie(string name, FlareValue value)
    {
        var cookies = Headers.TryGet(HeaderNames.Cookies, out var jar) ? jar.AsMap() : [];
        cookies[name] = value;
        Headers[HeaderNames.Cookies] = cookies;
        return this;
    }

    /// <summary>A cookie that the message carries, if there is one of the name.</summary>
    public bool TryGetCookie(string name, out FlareValue value)
    {
        value = default;
        return Headers.TryGet(HeaderNames.Cookies, out var jar) && jar.AsMap().TryGet(name, out value);
    }

    /// <summary>Makes headers, body and all that they hold read-only. Returns this instance.</summary>
    /// <exception cref="FlareException">Maps and lists nest deeper than 64, or one holds itself.</exception>
    public Shareable Freeze()
    {
        Headers.Freeze();
        Body.Freeze();
        return this;
    }

    /// <summary>
    /// This message with other data: a new message with a writable copy of the headers, so that who is told what (task,
    /// steps, cookies, headers of one's own) stays. What a filter returns that changed the data.
    /// </summary>
    /// <param name="data">The data; shared, not copied.</param>
    public Shareable With(Dxo data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return new(data.ToMap(), new FlareMap(Headers)) { ContentType = ContentTypes.Dxo };
    }

    /// <summary>A message with the same headers and no body.</summary>
    internal Shareable WithoutBody() => new([], Headers);

    // For what the runtime sets on each message.
    private const int RoomForHeaders = 6;

    /// <summary>A message with the same headers and another body.</summary>
    internal Shareable WithBody(FlareMap body) => new(body, Headers);

    /// <summary>A message with the same body and writable copies of the headers.</summary>
    public Shareable WithOwnHeaders() => new(Body, new FlareMap(Headers, RoomForHeaders));
}
