using System.Text.Json.Serialization;

/// <summary>What <c>--json</c> prints.</summary>
internal sealed record Result(
    int Rounds, int Sites, double Accuracy, double CentralAccuracy, double Seconds, string ModelSha256);

/// <summary>Written without reflection, which Native AOT does not have.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Result))]
internal sealed partial class ResultJson : JsonSerializerContext;
