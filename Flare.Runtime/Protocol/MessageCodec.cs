namespace Flare.Runtime;

/// <summary>The messages as maps, and back: docs/protocol.md lists the names.</summary>
internal static class MessageCodec
{
    private const int MostTerm = 1024;

    /// <summary>What the head says of a message.</summary>
    public static (FrameKind Kind, int Round, long Number) Address(object message) => message switch
    {
        SiteHello => (FrameKind.Hello, 0, 0),
        SiteHeartbeat => (FrameKind.Heartbeat, 0, 0),
        TaskReceived m => Of(FrameKind.TaskReceived, m.Token),
        TensorsWanted m => Of(FrameKind.TensorsWanted, m.Token),
        TensorsReceived m => Of(FrameKind.TensorsReceived, m.Token),
        ResultReady m => Of(FrameKind.ResultReady, m.Token),
        TaskResult m => Of(FrameKind.TaskResult, m.Token),
        TaskStopped m => Of(FrameKind.TaskStopped, m.Token),
        SiteEvent m => (FrameKind.SiteEvent, 0, m.Event.Sequence),
        SiteEventReceipt m => (FrameKind.SiteEventReceipt, 0, m.Sequence),
        JobEndReceived => (FrameKind.JobEndReceived, 0, 0),
        SitePresence => (FrameKind.Presence, 0, 0),
        ServerWelcome => (FrameKind.Welcome, 0, 0),
        ServerRefusal => (FrameKind.Refusal, 0, 0),
        TaskOffer m => Of(FrameKind.TaskOffer, m.Token),
        TensorsDelivery m => Of(FrameKind.TensorsDelivery, m.Token),
        UploadPermit m => Of(FrameKind.UploadPermit, m.Token),
        ResultReceipt m => Of(FrameKind.ResultReceipt, m.Token),
        TaskCancel m => Of(FrameKind.TaskCancel, m.Token),
        ServerEvent m => (FrameKind.ServerEvent, 0, m.Event.Sequence),
        ServerEventReceipt m => (FrameKind.ServerEventReceipt, 0, m.Sequence),
        JobEnd => (FrameKind.JobEnd, 0, 0),
        _ => throw new ArgumentException($"{message.GetType()} is no message.", nameof(message)),
    };

    /// <summary>Whether a message of a kind may have tensors among its values.</summary>
    public static bool MayHoldTensors(FrameKind kind) => kind is FrameKind.TaskOffer or FrameKind.TaskResult
        or FrameKind.TensorsDelivery or FrameKind.SiteEvent or FrameKind.ServerEvent;

    /// <summary>What a message says besides its address.</summary>
    public static FlareMap ToMap(object message) => message switch
    {
        SiteHello m => new()
        {
            ["process"] = m.Process.ToByteArray(),
            ["job"] = m.Terms.JobId,
            ["seed"] = unchecked((long)m.Terms.Seed),
            ["version"] = m.Terms.Version,
            ["layout"] = m.Terms.Layout,
            ["policy"] = m.Terms.Policy,
        },
        TensorsWanted m => new() { ["sha256"] = m.Sha256 },
        TensorsReceived m => new() { ["sha256"] = m.Sha256 },
        ResultReady m => new() { ["bytes"] = m.Bytes },
        TaskResult m => ToMap(m),
        SiteEvent m => ToMap(m.Event),
        SitePresence m => new() { ["presence"] = (long)m.Kind, ["reason"] = m.Reason },
        ServerWelcome m => ToMap(m),
        ServerRefusal m => new() { ["process"] = m.Process.ToByteArray(), ["reason"] = m.Reason },
        TaskOffer m => ToMap(m),
        TensorsDelivery m => new() { ["sha256"] = m.Sha256, ["tensors"] = m.Tensors },
        ResultReceipt { Refusal: { } refusal } => new() { ["refusal"] = refusal },
        TaskCancel m => new() { ["reason"] = m.Reason },
        ServerEvent m => ToMap(m.Event),
        JobEnd m => new() { ["reason"] = m.Reason },
        _ => [],
    };

    /// <summary>The message that a head and a map make. What is missing or of another kind is refused; what is too much
    /// is not looked at, so that a later version may say more.</summary>
    /// <param name="head">The head.</param>
    /// <param name="job">The job's id, which tokens carry.</param>
    /// <param name="map">What <see cref="ToMap(object)"/> made.</param>
    /// <exception cref="FlareException">It is no message.</exception>
    public static object FromMap(in FrameHead head, string job, FlareMap map)
    {
        var token = new TaskToken(job, head.Epoch, head.Round, head.Number);
        try
        {
            return head.Kind switch
            {
                FrameKind.Hello => new SiteHello(ProcessOf(map), new HelloTerms(
                    map["job"].AsText(), unchecked((ulong)map["seed"].AsInteger()), VersionOf(map),
                    map["layout"].AsText(), map["policy"].AsText())),
                FrameKind.Heartbeat => new SiteHeartbeat(),
                FrameKind.TaskReceived => new TaskReceived(token),
                FrameKind.TensorsWanted => new TensorsWanted(token, map["sha256"].AsText()),
                FrameKind.TensorsReceived => new TensorsReceived(token, map["sha256"].AsText()),
                FrameKind.ResultReady => new ResultReady(token, map["bytes"].AsInteger()),
                FrameKind.TaskResult => new TaskResult(token, ShareableOf(map), ChangeOf(map)),
                FrameKind.TaskStopped => new TaskStopped(token),
                FrameKind.SiteEvent => new SiteEvent(EventOf(head, map)),
                FrameKind.SiteEventReceipt => new SiteEventReceipt(head.Number),
                FrameKind.JobEndReceived => new JobEndReceived(),
                FrameKind.Presence => new SitePresence(PresenceOf(map), map["reason"].AsText()),
                FrameKind.Welcome => new ServerWelcome(map["helloNeeded"].AsBoolean(), TermsOf(map)),
                FrameKind.Refusal => new ServerRefusal(ProcessOf(map), map["reason"].AsText()),
                FrameKind.TaskOffer => new TaskOffer(
                    token, map["task"].AsText(), ShareableOf(map), [.. map["contents"].AsList().Select(ContentOf)],
                    StateOf(map)),
                FrameKind.TensorsDelivery => new TensorsDelivery(
                    token, map["sha256"].AsText(), map["tensors"].AsTensors().Freeze()),
                FrameKind.UploadPermit => new UploadPermit(token),
                FrameKind.ResultReceipt => new ResultReceipt(
                    token, map.TryGet("refusal", out var refusal) ? refusal.AsText() : null),
                FrameKind.TaskCancel => new TaskCancel(token, map["reason"].AsText()),
                FrameKind.ServerEvent => new ServerEvent(EventOf(head, map)),
                FrameKind.ServerEventReceipt => new ServerEventReceipt(head.Number),
                FrameKind.JobEnd => new JobEnd(map["reason"].AsText()),
                _ => throw WireFormat.Malformed($"a message of the unknown kind {(int)head.Kind}"),
            };
        }
        catch (FlareException e) when (e.ErrorId != ErrorIds.MalformedBytes)
        {
            throw WireFormat.Malformed($"a message of kind {head.Kind} that is none: {e.Message}", e);
        }
    }

    private static (FrameKind, int, long) Of(FrameKind kind, in TaskToken token) => (kind, token.Round, token.Number);

    private static FlareMap ToMap(Shareable message) => new()
    {
        ["headers"] = message.Headers,
        ["body"] = message.Body,
    };

    private static FlareMap ToMap(ServerWelcome welcome)
    {
        var map = new FlareMap { ["helloNeeded"] = welcome.HelloNeeded };
        if (welcome.Terms is not { } terms) return map;
        map["workflows"] = FlareValue.ListOf([.. terms.Workflows.Select(w => (FlareValue)w)]);
        map["layout"] = terms.Layout;
        return map;
    }

    private static JobTerms? TermsOf(FlareMap map)
    {
        if (!map.TryGet("workflows", out var workflows) || !map.TryGet("layout", out var layout)) return null;
        return new(
            [.. workflows.AsList().Select(w => PlainText.Of(w.AsText(), MostTerm))],
            PlainText.Of(layout.AsText(), MostTerm));
    }

    private static FlareMap ToMap(TaskResult result)
    {
        var map = ToMap(result.Result);
        if (result.State is { } state) map["state"] = FlareValue.List(state.From, state.To);
        return map;
    }

    private static FlareMap ToMap(FederatedEvent e)
    {
        var map = ToMap(e.Data);
        map["type"] = e.EventType;
        return map;
    }

    private static FlareMap ToMap(TaskOffer offer)
    {
        var map = ToMap(offer.Data);
        map["task"] = offer.TaskName;
        var state = offer.State;
        if (state != default) map["state"] = FlareValue.List(state.Current, state.Committed, state.Before);
        map["contents"] = FlareValue.ListOf([.. offer.Contents.Select(c => (FlareValue)new FlareMap
        {
            ["path"] = FlareValue.ListOf([.. c.Path.Select(p => (FlareValue)p)]),
            ["sha256"] = c.Sha256,
            ["bytes"] = c.Bytes,
        })]);
        return map;
    }

    private static Shareable ShareableOf(FlareMap map) =>
        new Shareable(map["body"].AsMap(), map["headers"].AsMap()).Freeze();

    private static FederatedEvent EventOf(in FrameHead head, FlareMap map) =>
        new(head.Number, map["type"].AsText(), ShareableOf(map));

    private static SiteStateRef StateOf(FlareMap map) =>
        NumbersOf(map, 3) is { } numbers ? new(numbers[0], numbers[1], numbers[2]) : default;

    private static SiteStateChange? ChangeOf(FlareMap map) =>
        NumbersOf(map, 2) is { } numbers ? new(numbers[0], numbers[1]) : null;

    private static long[]? NumbersOf(FlareMap map, int count)
    {
        if (!map.TryGet("state", out var state)) return null;
        long[] numbers = [.. state.AsList().Select(n => n.AsInteger())];
        return numbers.Length == count ? numbers : throw WireFormat.Malformed("a site's state that is none");
    }

    private static TensorsRef ContentOf(FlareValue value)
    {
        var map = value.AsMap();
        string[] path = [.. map["path"].AsList().Select(p => p.AsText())];
        if (path.Length is 0 or > 64 || path.Any(p => p.Length == 0))
            throw WireFormat.Malformed("a place of tensors that is none");
        return new TensorsRef(path, map["sha256"].AsText(), map["bytes"].AsInteger());
    }

    private static PresenceKind PresenceOf(FlareMap map) => map["presence"].AsInteger() switch
    {
        >= 0 and <= (long)PresenceKind.Declined and var kind => (PresenceKind)kind,
        var kind => throw WireFormat.Malformed($"a site's presence {kind}, which is none"),
    };

    // A version that is no number of ours differs from ours, and that is all there is to say.
    private static int VersionOf(FlareMap map) => (int)Math.Clamp(map["version"].AsInteger(), -1, int.MaxValue);

    private static Guid ProcessOf(FlareMap map)
    {
        var bytes = map["process"].AsBytes().Span;
        return bytes.Length == 16 ? new Guid(bytes) : throw WireFormat.Malformed("a process that is none");
    }
}
