using Microsoft.Extensions.Logging;

namespace Flare.Tests.Federations;

/// <summary>What a site lets out is its own decision; in one process there is no border.</summary>
public class SitePolicyTests
{
    private const string Secret = "cannot parse 'Erika Mustermann, born 12.8.1964'";

    private static Task<Federation> RunAsync(
        Executor executor, SitePolicy? policy, LogRecorder log, Action<FederationBuilder>? more = null) =>
        Sites.RunAsync(Sites.Training(), Sites.Model(1), f =>
        {
            f.UseLogging(log).ConfigureSites((site, _) => { if (policy is not null) site.UsePolicy(policy); });
            more?.Invoke(f);
        }, executor);

    private static TooFewResponsesException Failure(Executor executor, SitePolicy? policy, LogRecorder log) =>
        Assert.ThrowsAsync<TooFewResponsesException>(() => RunAsync(executor, policy, log))!;

    [Test]
    public void In_one_process_the_exception_that_ends_the_job_has_the_trainers_own_inside()
    {
        var log = new LogRecorder();
        var failure = Failure(new Parsing(), null, log);
        Assert.That(failure.InnerException, Is.TypeOf<FormatException>().With.Message.EqualTo(Secret));
        Assert.That(failure.ToString(), Does.Contain(nameof(Parsing)).And.Contain(nameof(Parsing.ReadPatients)));
        Assert.That(
            log.Entries.Where(e => e.Level == LogLevel.Error)
            .Select(e => e.Exception?.ToString()), Has.Some.Contains(nameof(Parsing.ReadPatients)));
    }

    [Test]
    public void Of_several_sites_every_stack_is_told()
    {
        var failure = Assert.ThrowsAsync<TooFewResponsesException>(
            () => Sites.RunAsync(
                Sites.Training(), Sites.Model(1), new Parsing(), Sites.Throwing("the scanner is offline")))!;
        Assert.That(failure.ToString(), Does.Contain("FormatException").And.Contain("the scanner is offline"));
    }

    [Test]
    public void Across_a_border_type_and_reference_go_and_the_rest_is_in_the_sites_log()
    {
        var log = new LogRecorder();
        var failure = Failure(new Parsing(), new SitePolicy(), log);
        var error = failure.Sites[0].Error!;
        Assert.That(failure.InnerException, Is.Null);
        Assert.That(
            failure.ToString(),
            Does.Not.Contain("Mustermann").And.Not.Contain(nameof(Parsing.ReadPatients)).And.Contain(
                "System.FormatException"));
        Assert.That((error.Type, error.Stack), Is.EqualTo(("System.FormatException", "")));
        var reference = error.Message.Split("reference ")[1];
        Assert.That(reference, Does.StartWith("site-1/"));
        var entry = log.Entries.Single(e => e.Message.Contains(reference) && e.Exception is not null);
        Assert.That(entry.Exception!.ToString(), Does.Contain("Mustermann").And.Contain(nameof(Parsing.ReadPatients)));
    }

    [Test]
    public void A_policy_may_let_the_message_out_and_keep_the_stack()
    {
        var error = Failure(new Parsing(), new SitePolicy { Errors = ErrorDetail.Message }, new()).Sites[0].Error!;
        Assert.That(error.Message, Does.Contain(Secret).And.Contain("reference site-1/"));
        Assert.That(error.Stack, Is.Empty);
    }

    [Test]
    public void Words_of_an_error_reply_and_of_a_panic_stay_as_those_of_an_exception_do()
    {
        var log = new LogRecorder();
        var failure = Failure(
            Sites.Answering(_ => Shareable.Reply(ReturnCode.BadTaskData, Secret)), new SitePolicy(), log);
        Assert.That(
            failure.ToString(),
            Does.Not.Contain("Mustermann").And.Contain("BadTaskData").And.Contain("reference site-1/"));
        var panic = Assert.CatchAsync(() => RunAsync(new Scripted((_, _, context, _) =>
        {
            context.Panic(Secret);
            return default;
        }), new SitePolicy(), log))!;
        Assert.That(panic.ToString(), Does.Not.Contain("Mustermann").And.Contain("site-1"));
        Assert.That(log.Entries.Count(e => e.Message.Contains("Mustermann")), Is.EqualTo(2));
    }

    private static readonly TestCaseData[] KeptBack =
    [
        new TestCaseData(new SitePolicy { Kinds = [DataKind.Metrics] }, "WeightDiff") { TestName = "Kinds" },
        new TestCaseData(new SitePolicy { LeastSteps = 10 }, "9 training steps") { TestName = "LeastSteps" },
        new TestCaseData(
            new SitePolicy { RequiresEncryption = true }, "encrypted only") { TestName = "RequiresEncryption" },
    ];

    [TestCaseSource(nameof(KeptBack))]
    public void What_the_policy_keeps_back_does_not_leave_and_the_operator_reads_why(SitePolicy policy, string why)
    {
        var failure = Failure(Sites.Adding(1, 9), policy, new());
        Assert.That(failure.Message, Does.Contain("The policy of site-1").And.Contain(why));
    }

    [Test]
    public void That_tensors_are_encrypted_is_not_taken_from_a_header_of_the_executors([Values] bool namesTensors)
    {
        var failure = Failure(Sites.Answering(model =>
        {
            var dxo = Dxo.Weights(model.Clone(), steps: 1).WithMeta(MetaKey.ProcessedAlgorithm, "rlwe");
            if (namesTensors) dxo = dxo.WithMeta(MetaKey.ProcessedKeys, FlareValue.List("w"));
            return dxo.ToShareable();
        }), new SitePolicy { RequiresEncryption = true }, new());
        Assert.That(failure.Message, Does.Contain("encrypted only"));
    }

    [Test]
    public async Task What_the_policy_lets_out_leaves()
    {
        var policy = new SitePolicy { Kinds = [DataKind.WeightDiff], LeastSteps = 9 };
        var federation = await RunAsync(Sites.Adding(1, 9), policy, new());
        Assert.That(federation.Model.Values(), Is.EqualTo(new[] { 2f }));
    }

    [Test]
    public async Task Events_stay_where_the_policy_says_so()
    {
        var heard = new List<string>();
        var log = new LogRecorder();
        var firing = new Scripted((_, input, context, _) =>
        {
            context.FireFederated("progress", new Shareable());
            return ValueTask.FromResult(Sites.Diff(Dxo.From(input).Tensors, 1));
        });
        await RunAsync(
            firing, new SitePolicy { MayFireEvents = false }, log,
            f => f.AddServerComponent(new LambdaComponent((type, _) => { if (type == "progress") heard.Add(type); })));
        Assert.That(heard, Is.Empty);
        Assert.That(log.Entries.Select(e => e.Message), Has.One.Contains("keeps the event progress back"));
    }

    [Test]
    public void A_policy_that_cannot_be_lists_everything_that_is_wrong()
    {
        var policy = new SitePolicy { Kinds = [], LeastSteps = -1, Errors = (ErrorDetail)9 };
        Assert.That(policy.Validate().Count(), Is.EqualTo(3));
        Assert.That(() => new SiteDefinition("a", Sites.Adding(1)).UsePolicy(policy),
            Throws.TypeOf<FlareException>().With.Message.Contains("Kinds").And.Message.Contains(
                "LeastSteps").And.Message.Contains("Errors"));
    }

    [Test]
    public void A_learner_that_returns_null_has_no_result()
    {
        var outcome = Failure(new Silent(), null, new()).Sites[0];
        Assert.That(outcome.Code, Is.EqualTo(ReturnCode.EmptyResult));
        Assert.That(outcome.Reason, Does.Contain("Silent.TrainAsync returned null"));
    }

    private static readonly string[] NoNames = ["a\nb", " ", "a ", "evil\u202Etxt", "nul\0", "zero\u200Bwidth"];

    [TestCaseSource(nameof(NoNames))]
    public void A_name_that_reports_and_logs_cannot_show_is_refused(string name)
    {
        Assert.That(() => new SiteDefinition(name, Sites.Adding(1)), Throws.ArgumentException);
        Assert.That(() => Federation.InProcess(f => f.AddSite(name, _ => Sites.Adding(1))), Throws.ArgumentException);
    }

    private sealed class Silent : Learner
    {
        protected override ValueTask<Dxo> TrainAsync(Dxo model, FLContext context, CancellationToken abort) =>
            ValueTask.FromResult<Dxo>(null!);
    }

    private sealed class Parsing : Executor
    {
        public override ValueTask<Shareable> ExecuteAsync(
            string taskName, Shareable input, FLContext context, CancellationToken abort)
        {
            ReadPatients();
            return default;
        }

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        public static void ReadPatients() => throw new FormatException(Secret);
    }
}
