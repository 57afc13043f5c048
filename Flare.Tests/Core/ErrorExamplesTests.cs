using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;
using Flare.Crypto;
using Flare.Runtime;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Identity;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Core;

/// <summary>
/// The example of every error's page is what a user really reads, word for word; an ellipsis on the page stands for
/// anything.
/// </summary>
public class ErrorExamplesTests
{
    private static string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-errors-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private static readonly Dictionary<string, Func<Task<string>>> Provoked = new()
    {
        [ErrorIds.Safetensors] = () => MessageOf(async () =>
        {
            var bytes = new byte[5000];
            BinaryPrimitives.WriteInt64LittleEndian(bytes, 8192);
            await File.WriteAllBytesAsync(InFolder("model.safetensors"), bytes);
            using var model = await StateDict.LoadAsync(InFolder("model.safetensors"));
        }),
        [ErrorIds.MalformedMessage] = () => MessageOf(() => Task.FromResult(Dxo.Metrics(("accuracy", 0.9)).Tensors)),
        [ErrorIds.MalformedBytes] = () =>
        MessageOf(() => Task.FromResult(FlareMapCodec.Read([0x81, 0xa1, (byte)'x', 0xd9, 200, .. new byte[120]]))),
        [ErrorIds.ContextProperty] = () => MessageOf(() => RunAsync((federation, _) =>
        {
            federation.Context.Set(
                new FLContextKey<string>("hospital", PropertyVisibility.Public, PropertyLifetime.Run), "St. Mary's");
            federation.Context.Set(new FLContextKey<string>("hospital"), "St. Mary's");
            return Task.CompletedTask;
        }, Sites.Adding(1))),
        [ErrorIds.Configuration] = () =>
        MessageOf(
            () => Sites.RunAsync(
                new FedAvg { Rounds = 0, MinSites = 6 }, Sites.Model(1),
                [.. Enumerable.Range(0, 4).Select(_ => Sites.Adding(1))])),
        [ErrorIds.TooFewResponses] = () => MessageOf(() => RunAsync(
            async (federation, abort) =>
            {
                var poisoned = FlareTask.Train(3, StateDict.Create(("fc.weight", [1f])));
                await foreach (var _ in federation.BroadcastAsync(poisoned, new() { MinResponses = 2 }, abort)) { }
            },
            Sites.Adding(1), Sites.Throwing("the scanner is offline"), Sites.Adding(float.NaN))),
        [ErrorIds.NothingToAggregate] = () => MessageOf(() => new CoordinateMedian().CompleteAsync(default).AsTask()),
        [ErrorIds.Aggregation] = () =>
        MessageOf(
            () => Sites.RunAsync(
                new Workflow((context, abort) =>
                    context.CommitAsync(7, StateDict.Create(("fc.bias", [float.NaN])), abort)),
                StateDict.Create(("fc.bias", [0f])), Sites.Adding(1))),
        [ErrorIds.Panic] = () => MessageOf(() => RunAsync(
            async (federation, abort) =>
            {
                await foreach (var _ in federation.BroadcastAsync(
                    FlareTask.Train(1, federation.Model), abort: abort)) { }
            },
            Sites.Adding(1), Sites.Adding(1), new Scripted((_, _, context, _) =>
            {
                context.Panic("the patient consent list could not be read");
                return default;
            }))),
        [ErrorIds.Filter] = () =>
        {
            var error = Assert.ThrowsAsync<TooFewResponsesException>(
                async () => await Sites.RunAsync(
                    new FedAvg(), Sites.Model(1),
                    f => f.ConfigureSites((site, _) => site.AddFilter(FilterPlace.SiteOut, new ClipWeights())),
                    Sites.Adding(1)))!;
            return Task.FromResult(error.Sites[0].Error!.Message);
        },
        [ErrorIds.TaskFailed] = () => MessageOf(async () =>
        {
            var ten = TimeSpan.FromSeconds(10);
            await using var server = new ServerBench(
                async (federation, abort) => await federation.SendAsync(
                    new(TaskNames.GetWeights, 0, new Shareable()), new() { Targets = ["site-1"] }, abort), "site-1");
            await server.Time.TimerAsync(ten);
            server.Time.Advance(ten);
            await server.Ended;
        }),
        [ErrorIds.WorkflowFailed] = () => MessageOf(() => Sites.RunAsync(
            new Annealing(), Sites.Model(1), f => f.UseJobId("digits"), Sites.Adding(1))),
        [ErrorIds.Journal] = () => MessageOf(async () =>
        {
            for (ulong seed = 11; seed <= 12; seed++)
                await Sites.RunAsync(
                    new FedAvg { Rounds = 1 }, Sites.Model(1), f => f.UseSeed(seed)
                    .UseJournal(InFolder("job")), Sites.Adding(1));
        }),
        [ErrorIds.Connection] = () => MessageOf(async () =>
        {
            var pipes = new Transport.Frames.PipePair();
            await pipes.B.Output.WriteAsync("HTTP/1.1 400 Bad Request"u8.ToArray());
            await using var connection = new Flare.Transport.FrameConnection(
                pipes.A, true, new Transport.Frames.Recorder());
            await pipes.B.Output.CompleteAsync();
            _ = connection.RunAsync();
            await connection.Ready;
        }),
        [ErrorIds.ExternalProcess] = () => MessageOf(async () =>
        {
            var time = new ManualTime();
            await using var executor = Flare.Transport.ExternalExecutor.Listen(
                SocketTransport.Unix(InFolder("hospital-1.sock")), time: time);
            var answering = Task.Run(async () => await executor.ExecuteAsync(
                "train", new Shareable(), TestContexts.ForSite("hospital-1"), default));
            await time.TimerAsync(TimeSpan.FromSeconds(30));
            time.Advance(TimeSpan.FromSeconds(30));
            await answering;
        }),
        [ErrorIds.SiteRefused] = async () =>
        {
            var loop = new SimulationLoop(1);
            var network = new SimulatedNetwork(loop);
            Task<string>? ended = null;
            loop.Run(async () =>
            {
                using var server = new JobServer(new()
                {
                    JobId = "digits", Seed = 42, Loop = loop, Link = network.ConnectServer(), Sites = ["site-1"],
                    Controllers = [new FedAvg()], InitialModel = Sites.Model(1), Time = loop.Time,
                    Compute = loop.Compute,
                });
                _ = server.RunAsync(default);
                await using var site = new SiteRuntime(new SiteDefinition("site-1", Sites.Adding(1)), new()
                {
                    JobId = "digits", Seed = 43, Loop = loop, Link = network.ConnectSite("site-1"), Time = loop.Time,
                    Compute = loop.Compute,
                });
                site.Start();
                await Task.Delay(TimeSpan.FromSeconds(2), loop.Time);
                ended = site.Ended;
            }, TimeSpan.FromMinutes(1));
            return await MessageOf(() => ended!);
        },
        [ErrorIds.JobNotApproved] = async () =>
        {
            await using var server = new ServerBuilder().UseJobId("digits").AddSites("hospital-1")
                .UseController(new FedAvg()).UseInitialModel(Sites.Model(1)).Build();
            await using var plan = new SiteBuilder("hospital-1").UseJobId("digits").UseExecutor(() => Sites.Adding(1))
                .UseApproval((_, _) => ValueTask.FromResult(JobDecision.Refuse("the ethics board has not decided")))
                .Build();
            var loop = new JobLoop(_ => { });
            var link = new InProcessLink(loop);
            var running = server.CreateServer(loop, link);
            var site = plan.CreateSite(loop, link.ConnectSite("hospital-1"));
            loop.Post(_ => _ = running.RunAsync(default), null);
            loop.Post(_ => site.Start(), null);
            return await MessageOf(() => site.Ended);
        },
        [ErrorIds.SiteState] = async () =>
        {
            async Task<Exception?> RunAsync(int leaveAfter)
            {
                try
                {
                    var training = Sites.Training(rounds: 3);
                    await using var federation = Federation.InProcess(f => f
                        .AddSite("site-1", _ => new Scripted((_, input, context, _) =>
                        {
                            context.SiteState.Values["round"] = context.Round;
                            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
                        }))
                        .UseController(training).UseJobId("digits").UseJournal(InFolder("journal"))
                        .UseSiteState(InFolder("states")));
                    await foreach (var round in federation.RunAsync(Sites.Model(0)))
                        if (round.Number == leaveAfter) break;
                    return null;
                }
                catch (TooFewResponsesException e)
                {
                    return e.Sites[0].Error!.Exception;
                }
            }
            await RunAsync(leaveAfter: 1);
            Directory.Delete(InFolder("states"), recursive: true);
            return (await RunAsync(leaveAfter: 0))!.Message;
        },
        [ErrorIds.Identity] = () => MessageOf(async () =>
        {
            using var authority = new TestAuthority();
            var kit = Encoding.UTF8.GetString(authority.Kit(new(FlareRole.Site, "hospital-1")).Write());
            await File.WriteAllTextAsync(
                InFolder("hospital-1.json"),
                kit.Replace("localhost:8002", "example.org:8002", StringComparison.Ordinal));
            StartupKit.Load(InFolder("hospital-1.json"));
        }),
        [ErrorIds.Crypto] = () =>
        {
            using var keys = new KeyRing(SecretKey.Generate());
            using var servers = SecretKey.Generate();
            var policy = new EncryptionPolicy();
            using var aggregator = new EncryptedAggregator(policy, servers.Id);
            var error = Assert.ThrowsAsync<TooFewResponsesException>(
                async () =>
                await Sites.RunAsync(
                    new FedAvg { Aggregator = aggregator }, Sites.Model(1),
                    f => f.ConfigureSites(
                        (site, _) => site.AddFilter(FilterPlace.SiteIn, new DecryptFilter(policy, keys))),
                        Sites.Adding(1)))!;
            return Task.FromResult(error.Sites[0].Error!.Message);
        },
        [ErrorIds.PlaintextNeeded] = () =>
        MessageOf(
            () => Sites.RunAsync(
                new MedianOfSites(), Sites.Model(1), f => f.UseHomomorphicEncryption(), Sites.Adding(1))),
    };

    private static IEnumerable<string> Ids => Provoked.Keys;

    [Test]
    public void Every_error_is_provoked() => Assert.That(Ids, Is.EquivalentTo(ErrorPagesTests.Ids));

    [TestCaseSource(nameof(Ids))]
    public async Task The_example_is_the_real_message(string id)
    {
        var message = (await Provoked[id]()).Replace(_directory, "/data", StringComparison.Ordinal).Replace('\\', '/');
        var example = File.ReadLines(Path.Combine(ErrorPagesTests.Pages, $"{id}.md"))
            .Single(l => l.StartsWith("> ", StringComparison.Ordinal))[2..];
        var pattern = string.Join(".+", example.Split('…').Select(Regex.Escape));
        Assert.That(message, Does.Match($"^{pattern}$"), $"the page says\n{example}");
        Assert.That(example, Does.EndWith($"[{id}]").And.Length.GreaterThan(40));
    }

    private static string InFolder(string name) => Path.Combine(_directory, name);

    private static Task<Federation> RunAsync(
        Func<ControllerContext, CancellationToken, Task> workflow, params Executor[] executors) =>
        Sites.RunAsync(new Workflow(workflow), Sites.Model(1), executors);

    private static async Task<string> MessageOf(Func<Task> provoke)
    {
        try
        {
            await provoke();
        }
        catch (FlareException e)
        {
            return e.Message;
        }
        throw new AssertionException("Nothing went wrong.");
    }

    private sealed class ClipWeights : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(
            Shareable message, FLContext context, CancellationToken abort) => ValueTask.FromResult<Shareable>(null!);
    }

    private sealed class Annealing : Controller
    {
        protected override async Task RunAsync(ControllerContext federation, CancellationToken abort)
        {
            await foreach (var _ in federation.BroadcastAsync(FlareTask.Train(1, federation.Model), abort: abort)) { }
            throw new DivideByZeroException();
        }
    }

    private sealed class MedianOfSites : Controller
    {
        protected override Task RunAsync(ControllerContext federation, CancellationToken abort) => Task.CompletedTask;
    }
}
