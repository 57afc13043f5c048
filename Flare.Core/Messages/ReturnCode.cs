using System.Text.Json.Serialization;

namespace Flare;

/// <summary>
/// How a task went at the site, or why it did not (FLARE: ReturnCode). The numbers are part of the wire contract and
/// never change.
/// </summary>
/// <remarks>
/// FLARE's whole list, so that its numbers are taken and executors may answer with any. Flare itself answers with
/// <see cref="ExecutionException"/>, <see cref="ExecutionResultError"/>, <see cref="TaskAborted"/>,
/// <see cref="TaskDataFilterError"/>, <see cref="TaskResultFilterError"/>, <see cref="TaskUnknown"/>,
/// <see cref="TaskUnsupported"/> and <see cref="EmptyResult"/> only.
/// </remarks>
[JsonConverter(typeof(JsonStringEnumConverter<ReturnCode>))]
public enum ReturnCode
{
    /// <summary>Done; the message carries the result.</summary>
    Ok = 0,
    /// <summary>The peer's context is not usable.</summary>
    BadPeerContext = 1,
    /// <summary>The request cannot be understood.</summary>
    BadRequestData = 2,
    /// <summary>The task's data cannot be understood.</summary>
    BadTaskData = 3,
    /// <summary>The message did not get through.</summary>
    CommunicationError = 4,
    /// <summary>An error of no other kind.</summary>
    Error = 5,
    /// <summary>The executor threw, or refuses the data; the message's error record says what.</summary>
    ExecutionException = 6,
    /// <summary>The executor's result is no valid message.</summary>
    ExecutionResultError = 7,
    /// <summary>A message handler threw.</summary>
    HandlerException = 8,
    /// <summary>The peer sent no context.</summary>
    MissingPeerContext = 9,
    /// <summary>The message is of another run.</summary>
    RunMismatch = 10,
    /// <summary>The task was aborted.</summary>
    TaskAborted = 11,
    /// <summary>A filter on the task's data failed; the executor never saw the task.</summary>
    TaskDataFilterError = 12,
    /// <summary>A filter on the task's result failed; the result was not sent.</summary>
    TaskResultFilterError = 13,
    /// <summary>No executor knows the task.</summary>
    TaskUnknown = 14,
    /// <summary>The executor knows the task but does not support it.</summary>
    TaskUnsupported = 15,
    /// <summary>Nobody handles the topic.</summary>
    TopicUnknown = 16,
    /// <summary>The model asked for is not known.</summary>
    ModelUnrecognized = 17,
    /// <summary>The kind of validation asked for is not known.</summary>
    ValidateTypeUnknown = 18,
    /// <summary>The executor has no result.</summary>
    EmptyResult = 19,
    /// <summary>The server is not ready yet.</summary>
    ServerNotReady = 20,
    /// <summary>The time for the task ran out.</summary>
    Timeout = 21,
    /// <summary>The job is not allowed at this site.</summary>
    UnsafeJob = 22,
    /// <summary>The site stopped early on purpose.</summary>
    EarlyTermination = 23,
    /// <summary>The service is not available at present.</summary>
    ServiceUnavailable = 24,
}
