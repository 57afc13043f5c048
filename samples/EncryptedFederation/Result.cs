using System.Text.Json.Serialization;

/// <summary>What <c>--json</c> prints.</summary>
internal sealed record Result(
    double Accuracy, double PlainAccuracy, long BytesUp, long PlainBytesUp,
    double Seconds, double PlainSeconds, string ModelSha256, string PlainModelSha256);

/// <summary>Written without reflection, which Native AOT does not have.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Result))]
internal sealed partial class ResultJson : JsonSerializerContext;
