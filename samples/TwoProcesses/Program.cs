// A server and its sites, each a process of its own, train one model on handwritten digits over TLS.
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Flare;

if (Options.Read(args, out var exitCode) is not { } options) return exitCode;
var clock = Stopwatch.StartNew();
var study = new Study(options);
try
{
    if (options.Role is null && !options.InProcess) return await Children.RunAsync(study, options);
    if (options.Role == "site")
    {
        await Roles.SiteAsync(study, options);
        return 0;
    }
    var model = options.InProcess
        ? await Roles.InProcessAsync(study, options) : await Roles.ServerAsync(study, options);
    var result = new Result(study.Accuracy(model), clock.Elapsed.TotalSeconds, model.Sha256());
    Console.WriteLine(
        options.Json ? JsonSerializer.Serialize(result, ResultJson.Default.Result) : $"\nmodel {result.ModelSha256}");
    return 0;
}
catch (FlareException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

/// <summary>What a run came to.</summary>
internal sealed record Result(double Accuracy, double Seconds, string ModelSha256);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Result))]
internal sealed partial class ResultJson : JsonSerializerContext;
