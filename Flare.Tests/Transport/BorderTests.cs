using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Proxies;
using Flare.Transport;

namespace Flare.Tests.Transport;

/// <summary>
/// What crosses the border is the site's policy: looked at where it leaves the site, byte by byte, and in all that the
/// server's operator can read.
/// </summary>
public class BorderTests
{
    private const string Secret = "cannot parse 'Erika Mustermann'";

    private static readonly TestCaseData[] Leaks =
    [
        Case("an exception", () => new Scripted((_, _, _, _) => throw Error())),
        Case("an inner exception", () => new Scripted(
            (_, _, _, _) => throw new InvalidOperationException("x", Error()))),
        Case("an error reply", () => Sites.Answering(_ => Shareable.Reply(ReturnCode.BadTaskData, Secret))),
        Case("an error beside an answer", () => Sites.Answering(m =>
        {
            var answer = Sites.Diff(m, 1);
            answer.Headers[HeaderNames.Error] = new ErrorRecord { Type = "T", Message = Secret }.ToMap();
            return answer;
        })),
        Case("a panic", () => new Scripted((_, _, context, _) =>
        {
            context.Panic(Secret);
            return default;
        })),
        Case("a name that cannot be sent", () => Sites.Answering(m =>
        {
            var answer = Sites.Diff(m, 1);
            answer.Headers[Secret] = "\ud800";
            return answer;
        })),
        Case("an answer that cannot be read", () => Sites.Answering(_ =>
            new Shareable(new() { [Secret] = FlareValue.List("x") }) { ReturnCode = ReturnCode.ExecutionException })),
        Case("a filter", () => Sites.Adding(1), site => site.AddFilter(
            FilterPlace.SiteOut, new LambdaFilter((_, _) => throw Error()))),
        Case("a handler of events", () => Sites.Adding(1), site => site.AddComponent(
            new LambdaComponent((_, _) => throw Error()))),
        Case("an abort", () => new Scripted(async (_, _, context, abort) =>
        {
            await using var told = abort.Register(() => throw Error());
            await Task.Delay(Timeout.Infinite, abort);
            return new Shareable();
        })),
        Case("the run's end", () => new Ending()),
    ];

    private static TestCaseData Case(string name, Func<Executor> executor, Action<SiteDefinition>? part = null) =>
        new TestCaseData(executor, part).SetArgDisplayNames(name);

    // It throws: the stack is to be a real one.
    private static InvalidOperationException Error()
    {
        ReadPatients();
        return new InvalidOperationException();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReadPatients() => throw new FormatException(Secret);

    private sealed class Ending : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));

        protected internal override ValueTask EndRunAsync(FLContext context) => throw Error();
    }

    /// <summary>Runs a job; the bytes that left the site, and all that the server's operator can read.</summary>
    private static async Task<(byte[] Left, string Read, LogRecorder SiteLog)> RunAsync(
        Func<Executor> executor, SitePolicy? policy = null, Action<SiteDefinition>? part = null)
    {
        var left = new List<byte>();
        var (serverLog, siteLog, read) = (new LogRecorder(), new LogRecorder(), new StringBuilder());
        await using (var server = FederationServer.Start(
            SocketTransport.PlainTcp("127.0.0.1", 0), logging: serverLog))
        {
            await using var proxy = new CuttingProxy(
                FederationOverSocketsTests.PortOf(server), long.MaxValue, bytes =>
                {
                    lock (left) left.AddRange(bytes.Span);
                });
            await using var plan = new ServerBuilder().AddSites("a").UseLogging(serverLog)
                .UseController(Sites.Training(timeout: TimeSpan.FromSeconds(1)))
                .UseInitialModel(Sites.Model(new float[64])).Build();
            var job = server.Run(plan);
            await using var site = FederationSite.Connect(
                SocketTransport.PlainTcp("127.0.0.1", proxy.Port), "a", limits: LeavingTests.Quick, logging: siteLog);
            var builder = new SiteBuilder("a").UseLogging(siteLog).UseExecutor(executor);
            if (policy is not null) builder.UsePolicy(policy);
            if (part is not null) builder.ConfigureSites(part);
            await using var sitePlan = builder.Build();
            var joined = site.Join(sitePlan);
            try
            {
                await foreach (var report in job.ReadRoundsAsync()) read.AppendLine(Told(report.Sites));
                await job.Ended.WaitAsync(Patience.Long);
            }
            catch (FlareException e)
            {
                read.AppendLine(e.ToString());
                if (e is TooFewResponsesException few) read.AppendLine(Told(few.Sites));
            }
            await ((Task)joined.Ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await site.DisposeAsync();
        }
        foreach (var entry in serverLog.Entries) read.AppendLine(entry.Message).AppendLine(entry.Exception?.ToString());
        lock (left) return ([.. left], read.ToString(), siteLog);
    }

    private static string Told(IEnumerable<SiteOutcome> sites) => string.Join(
        '\n', sites.Select(s => $"{s} {s.Reason} {s.Error?.Type} {s.Error?.Message} {s.Error?.Stack} {s.Metrics}"));

    private static bool Holds(byte[] bytes, string text) =>
        bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0
        || bytes.AsSpan().IndexOf(Encoding.Unicode.GetBytes(text)) >= 0;

    [TestCaseSource(nameof(Leaks))]
    public async Task No_text_and_no_stack_of_an_error_leaves_under_the_default_policy(
        Func<Executor> executor, Action<SiteDefinition>? part)
    {
        var (left, read, _) = await RunAsync(executor, null, part);
        Assert.That(left, Has.Length.GreaterThan(300), "the proxy sees what leaves");
        foreach (var word in (string[])["Mustermann", nameof(ReadPatients)])
        {
            Assert.That(Holds(left, word), Is.False, $"'{word}' has left");
            Assert.That(read, Does.Not.Contain(word));
        }
    }

    [Test]
    public async Task The_rest_is_in_the_sites_own_log_by_the_reference_that_left()
    {
        var (left, read, log) = await RunAsync(() => new Scripted((_, _, _, _) => throw Error()));
        Assert.That(read, Does.Contain("System.FormatException").And.Contain("reference a/1."));
        Assert.That(Holds(left, "System.FormatException"));
        Assert.That(
            log.Entries.Select(e => $"{e.Exception}"),
            Has.Some.Contains(nameof(ReadPatients)).And.Contain(Secret));
    }

    [TestCase(ErrorDetail.Message, true, false)]
    [TestCase(ErrorDetail.Full, true, true)]
    public async Task A_policy_lets_out_what_it_says(ErrorDetail errors, bool text, bool stack)
    {
        var (left, read, _) = await RunAsync(
            () => new Scripted((_, _, _, _) => throw Error()), new SitePolicy { Errors = errors });
        Assert.That((Holds(left, Secret), Holds(left, nameof(ReadPatients))), Is.EqualTo((text, stack)));
        Assert.That(read.Contains(Secret), Is.EqualTo(text));
    }

    [Test]
    public async Task Tensors_do_not_leave_in_the_clear_where_the_policy_says_so()
    {
        var mark = MemoryMarshal.AsBytes<float>([.. Enumerable.Repeat(3.14159f, 64)]).ToArray();
        var (open, _, _) = await RunAsync(() => Sites.Adding(3.14159f));
        Assert.That(open.AsSpan().IndexOf(mark), Is.GreaterThan(0), "by default they do");
        var (left, read, _) = await RunAsync(
            () => Sites.Adding(3.14159f), new SitePolicy { RequiresEncryption = true });
        Assert.That(left.AsSpan().IndexOf(mark.AsSpan(..16)), Is.EqualTo(-1));
        Assert.That(read, Does.Contain("tensors leave it encrypted only"));
    }

    [Test]
    public async Task Events_and_kinds_that_the_policy_keeps_do_not_leave()
    {
        var (left, read, _) = await RunAsync(
            () => new Scripted((_, input, context, _) =>
            {
                context.FireFederated("diagnosis", new Shareable(new() { ["patient"] = "Mustermann" }));
                return ValueTask.FromResult(
                    Sites.Diff(Dxo.From(input).Tensors, 3.14159f));
            }),
            new SitePolicy { MayFireEvents = false, Kinds = [DataKind.Metrics] });
        Assert.That((Holds(left, "diagnosis"), Holds(left, "Mustermann")), Is.EqualTo((false, false)));
        Assert.That(read, Does.Contain("The policy of a keeps the answer back"));
    }
}
