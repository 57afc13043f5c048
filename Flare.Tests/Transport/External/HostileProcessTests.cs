using System.Buffers.Binary;
using System.Text;
using Flare.Runtime;
using Flare.Tests.Federations;
using Flare.Tests.Transport.Frames;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Transport.External;

/// <summary>A process beside a site that says what it must not.</summary>
public class HostileProcessTests
{
    private static FlareMap Answer(ExternalTask task, Action<FlareMap> change)
    {
        var head = task.Answer(DataKind.WeightDiff, ("num_steps_current_round", 1));
        change(head);
        return head;
    }

    private static FlareMap Layout(int dtype, params long[] shape) => new()
    {
        ["name"] = "w", ["dtype"] = dtype, ["shape"] = FlareValue.List([.. shape.Select(d => (FlareValue)d)]),
    };

    private static FlareValue Layouts(params FlareMap[] specs) =>
        FlareValue.List(FlareValue.List([.. specs.Select(s => (FlareValue)s)]));

    private static TestCaseData Case(string what, Action<FlareMap> change, string words, byte[]? content = null) =>
        new TestCaseData(change, words, content).SetArgDisplayNames(what);

    private static IEnumerable<TestCaseData> Answers()
    {
        yield return Case("no task", h => h["task"] = "one", "Text where Integer is expected");
        yield return Case("a task that was never given", h => h["task"] = 99, "it is for task 99");
        yield return Case("no body", h => h["body"] = default, "Null where Map is expected");
        yield return Case("no DXO", h => h["body"] = new FlareMap { ["a"] = 1 }, "lacks the value 'kind'");
        yield return Case("an unknown kind", h => h["body"] = new FlareMap { ["kind"] = 77 }, "unknown kind 77");
        foreach (var code in new[] { 77, 0 })
        {
            yield return Case($"the code {code}", h =>
            {
                (h["code"], h["error"]) = (code, "x");
                (h["layouts"], h["body"]) = (FlareValue.List(), new FlareMap());
            }, $"the code {code}", []);
        }
        yield return Case("fewer bytes than its layout", _ => { }, "12 bytes of tensors, and 8 bytes", new byte[8]);
        yield return Case("more bytes than its layout", _ => { }, "have 12 bytes of tensors, and 16", new byte[16]);
        yield return Case("no layouts", h => h["layouts"] = FlareValue.List(), "have 0 bytes of tensors");
        yield return Case("a layout that is none", h => h["layouts"] = FlareValue.List(FlareValue.List(1)),
            "Integer where Map is expected");
        yield return Case("a layout bomb", h => h["layouts"] = Layouts(Layout(1, 1 << 30, 1 << 28)), "have 1152921");
        yield return Case(
            "a layout that overflows", h => h["layouts"] = Layouts(Layout(1, long.MaxValue, 8)), "2^60 bytes");
        yield return Case("a negative shape", h => h["layouts"] = Layouts(Layout(1, -3)), "negative dimension");
        yield return Case("an unknown type", h => h["layouts"] = Layouts(Layout(99, 3)), "layout that is none");
        yield return Case("a name twice", h => h["layouts"] = Layouts(Layout(1, 1), Layout(1, 2)), "named 'w'");
        yield return Case(
            "a bool that is none", h => h["layouts"] = Layouts(Layout(13, 12)), "'w' of bools",
            [0, 1, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0]);
        yield return Case("tensors that do not come", h => (h["layouts"], h["body"]) = (FlareValue.List(),
            new FlareMap { ["kind"] = 2, ["tensors"] = 5 }), "Integer where Tensors is expected", []);
        yield return Case("too many bytes", _ => { }, "above MaxAnswerBytes, 1000", new byte[1001]);
    }

    [TestCaseSource(nameof(Answers))]
    public async Task An_answer_that_cannot_be_used_fails_its_task_in_words_and_the_next_is_good(
        Action<FlareMap> change, string words, byte[]? content)
    {
        var transport = ExternalExecutorTests.Unix();
        await using var executor = ExternalExecutor.Listen(transport, new() { MaxAnswerBytes = 1000 });
        await using var process = await ExternalPeer.ConnectAsync(transport);
        var answering = ExternalExecutorTests.Give(executor);
        var task = await process.TaskAsync();
        await SayAnywayAsync(process.SayAsync(Answer(task, change), content ?? task.Content));
        await FailsAsync(answering, words);
        await AnswersWellAsync(executor, process);
    }

    [Test]
    public async Task A_head_that_is_no_map_fails_the_task_in_words()
    {
        var transport = ExternalExecutorTests.Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var process = await ExternalPeer.ConnectAsync(transport);
        var random = new Random(3);
        foreach (var length in new[] { 0, 1, 7, 500 })
        {
            var answering = ExternalExecutorTests.Give(executor);
            await process.TaskAsync();
            var garbage = new byte[length];
            random.NextBytes(garbage);
            await SayAnywayAsync(process.SayAsync(garbage, []));
            await FailsAsync(answering, "malformed");
        }
        await AnswersWellAsync(executor, process);
    }

    [Test]
    public async Task Another_channel_a_later_beginning_and_a_second_answer_are_refused()
    {
        var transport = ExternalExecutorTests.Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var process = await ExternalPeer.ConnectAsync(transport);
        var answering = ExternalExecutorTests.Give(executor);
        var task = await process.TaskAsync();
        await SayAnywayAsync(process.SayAsync(Answer(task, _ => { }), task.Content, channel: 5));
        await FailsAsync(answering, "on channel 5, not 1");
        answering = ExternalExecutorTests.Give(executor);
        task = await process.TaskAsync();
        await SayAnywayAsync(process.SayAsync(Answer(task, _ => { }), task.Content, offset: 4));
        await FailsAsync(answering, "does not begin with its first byte");
        await AnswersWellAsync(executor, process);
    }

    [Test]
    public async Task Malformed_frames_fail_the_task_and_the_process_is_told_why()
    {
        var transport = ExternalExecutorTests.Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var pipe = await transport.ConnectAsync(default);
        await pipe.Output.WriteAsync(RawFrames.Hello(head: 1 << 20));
        var answering = ExternalExecutorTests.Give(executor);
        var read = await pipe.Input.ReadAtLeastAsync(60); // its hello, and the beginning of the task
        pipe.Input.AdvanceTo(read.Buffer.End);
        await pipe.Output.WriteAsync(RawFrames.Frame(77, 0, 1, 2, 3));
        await FailsAsync(answering, "does not keep to Flare's frames");
        Assert.That(await RestAsync(pipe), Does.Contain("unknown type 77"));
    }

    [Test]
    public async Task A_site_that_connects_there_is_told_that_it_is_no_server()
    {
        var transport = ExternalExecutorTests.Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        var logged = new LogRecorder();
        var told = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        logged.Recorded = e => { if (e.Message.Contains("not to this")) told.TrySetResult(e.Message); };
        await using var site = FederationSite.Connect(transport, "hospital-1", logging: logged);
        await using var plan = new SiteBuilder("hospital-1").UseExecutor(() => Sites.Adding(1)).Build();
        _ = site.Join(plan);
        Assert.That(await told.Task.WaitAsync(Patience.Long), Does.Contain("connects to its server's address"));
    }

    [TestCase("NaN", "NaN")]
    [TestCase("another layout", "'w' is missing")]
    public async Task The_rounds_report_names_what_a_process_contributes_and_may_not(string what, string words)
    {
        var transport = ExternalExecutorTests.Unix();
        await using var federation = Federation.InProcess(f => f
            .AddSite("good", _ => Sites.Adding(1)).AddSite("hospital-1", _ => ExternalExecutor.Listen(transport))
            .UseController(new FedAvg { Rounds = 2, MinSites = 1, Validation = ValidationMode.None }));
        var running = federation.RunToEndAsync(StateDict.Create(("w", [0, 0])));
        await using var process = await ExternalPeer.ConnectOnceThereAsync(transport);
        _ = process.ServeAsync(task =>
        {
            var head = task.Answer(DataKind.WeightDiff, ("num_steps_current_round", 1));
            var values = new byte[8];
            if (what == "NaN") BinaryPrimitives.WriteSingleLittleEndian(values, float.NaN);
            else head["layouts"] = Layouts(new FlareMap(Layout(1, 2)) { ["name"] = "v" });
            return (head, values);
        });
        foreach (var round in await running.WaitAsync(Patience.Long))
        {
            var outcome = round.Sites.Single(s => s.Site == "hospital-1");
            Assert.That(outcome.Status, Is.Not.EqualTo(SiteStatus.Accepted));
            Assert.That(outcome.ToString(), Does.Contain(words));
        }
    }

    private static async Task AnswersWellAsync(ExternalExecutor executor, ExternalPeer process)
    {
        var answering = ExternalExecutorTests.Give(executor);
        var task = await process.TaskAsync();
        await process.SayAsync(task.Answer(DataKind.Weights), ExternalExecutorTests.Doubled(task));
        var data = Dxo.From(await answering.WaitAsync(Patience.Long));
        Assert.That(data.Tensors["w"].ToArray<float>(), Is.EqualTo(new float[] { 2, 4, 6 }));
    }

    private static async Task FailsAsync(Task<Shareable> answering, string words)
    {
        var e = Assert.CatchAsync<FlareException>(() => answering.WaitAsync(Patience.Long))!;
        await answering.ContinueWith(_ => { }, TaskScheduler.Default);
        Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.ExternalProcess));
        Assert.That(e.Message, Does.Contain(words));
    }

    private static async Task<string> RestAsync(FlareConnection pipe)
    {
        while (true)
        {
            var read = await pipe.Input.ReadAsync().AsTask().WaitAsync(Patience.Long);
            var text = Encoding.UTF8.GetString(read.Buffer);
            pipe.Input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            if (read.IsCompleted) return text;
        }
    }

    // The site may refuse it before the last byte has gone out, and need not.
    private static async Task SayAnywayAsync(Task saying) =>
        await saying.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
