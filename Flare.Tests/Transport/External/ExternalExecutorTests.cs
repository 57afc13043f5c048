using System.Runtime.InteropServices;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Transport;
using Flare.Workflows;

namespace Flare.Tests.Transport.External;

/// <summary>A site whose work is done by a process beside it.</summary>
public class ExternalExecutorTests
{
    private static Shareable Model => Dxo.Weights(StateDict.Create(("w", [1, 2, 3]))).ToShareable();

    internal static SocketTransport Unix() =>
        SocketTransport.Unix(Path.Combine(Path.GetTempPath(), $"flare-{Guid.NewGuid():N}.sock"));

    internal static Task<Shareable> Give(
        ExternalExecutor executor, Shareable? input = null, string task = TaskNames.Train,
        CancellationToken abort = default) => Task.Run(async () => await executor.ExecuteAsync(
            task, input ?? Model, TestContexts.ForSite("hospital-1", task, 3, 7), abort));

    internal static byte[] Doubled(ExternalTask task)
    {
        var values = MemoryMarshal.Cast<byte, float>(task.Content).ToArray();
        for (var i = 0; i < values.Length; i++) values[i] *= 2;
        return MemoryMarshal.AsBytes<float>(values).ToArray();
    }

    [Test]
    public async Task A_task_goes_to_the_process_whole_and_its_answer_comes_back_whole()
    {
        var transport = Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var process = await ExternalPeer.ConnectAsync(transport);
        using var model = new StateDictBuilder().Add<float>("a", [1, 2, 3, 4, 5, 6], 2, 3).Add<byte>("b", [7])
            .Add<double>("c", []).Add(new TensorSpec("d", DType.Int64, []), [-5L])
            .AddBuffer<bool>("e", [true, false, true]).Build();
        var input = Dxo.Weights(model).WithMeta(new("lr"), 0.5).ToShareable();
        input.Headers["mine"] = "header";
        var answering = Give(executor, input);

        var task = await process.TaskAsync();
        Assert.That(task.Head["name"].AsText(), Is.EqualTo("train"));
        Assert.That(task.Head["site"].AsText(), Is.EqualTo("hospital-1"));
        Assert.That(task.Head["round"].AsInteger(), Is.EqualTo(3));
        Assert.That(task.Head["seed"].AsInteger(), Is.GreaterThan(0));
        Assert.That(task.Head["headers"].AsMap()["mine"].AsText(), Is.EqualTo("header"));
        Assert.That(task.Head["body"].AsMap()["meta"].AsMap()["lr"].AsNumber(), Is.EqualTo(0.5));
        // One after the other, nothing between them.
        Assert.That(task.Content, Is.EqualTo(model.SelectMany(t => t.Bytes.ToArray())));

        var head = task.Answer(DataKind.WeightDiff, ("num_steps_current_round", 12));
        head["headers"] = new FlareMap { ["theirs"] = 3 };
        await process.SayAsync(head, task.Content);
        var answer = await answering.WaitAsync(Patience.Long);
        var data = Dxo.From(answer);
        Assert.That(data.Kind, Is.EqualTo(DataKind.WeightDiff));
        Assert.That(data.Tensors.ContentEquals(model), Is.True);
        Assert.That(data.Tensors.Layout.DifferenceFrom(model.Layout), Is.Null);
        Assert.That(data.Meta["num_steps_current_round"].AsInteger(), Is.EqualTo(12));
        Assert.That(answer.Headers["theirs"].AsInteger(), Is.EqualTo(3));
    }

    [Test]
    public async Task The_same_task_has_the_same_seed_and_another_round_another()
    {
        var transport = Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var process = await ExternalPeer.ConnectAsync(transport);
        var seeds = new List<long>();
        foreach (var round in new[] { 1, 1, 2 })
        {
            var answering = Task.Run(async () => await executor.ExecuteAsync(
                "train", Model, TestContexts.ForSite("a", round: round, seed: 7), default));
            var task = await process.TaskAsync();
            seeds.Add(task.Head["seed"].AsInteger());
            await process.SayAsync(task.Answer(DataKind.Weights), task.Content);
            await answering.WaitAsync(Patience.Long);
        }
        Assert.That(seeds[0], Is.EqualTo(seeds[1]).And.Not.EqualTo(seeds[2]));
    }

    [Test]
    public async Task A_federation_of_processes_has_the_model_and_the_metrics_of_one_without()
    {
        var sockets = new[] { Unix(), Unix(), Unix() };
        static float Step(float w, string site, long round) => w * 0.25f + site[^1] * 0.5f + round;
        var initial = new float[100_000];
        for (var i = 0; i < initial.Length; i++) initial[i] = MathF.Sin(i);

        async Task<(string Sha, double Accuracy)> RunAsync(Func<SiteInfo, Executor> make, Task? processes = null)
        {
            await using var federation = Federation.InProcess(f => f.AddSites(3, make)
                .UseController(new FedAvg { Rounds = 3, MinSites = 3, })
                .UseSeed(5));
            var rounds = await federation.RunToEndAsync(StateDict.Create(("w", initial)));
            return (federation.Model.Sha256(), rounds[^1].Metrics["accuracy"]);
        }

        var plain = await RunAsync(site => new Scripted((task, input, context, _) =>
        {
            var trained = Dxo.From(input).Tensors.Clone();
            if (task == TaskNames.Validate)
                return ValueTask.FromResult(Dxo.Metrics(("accuracy", trained[0].AsSpan<float>()[9])).ToShareable());
            var to = trained[0].AsSpan<float>();
            for (var i = 0; i < to.Length; i++) to[i] = Step(to[i], site.Name, context.Round);
            return ValueTask.FromResult(Dxo.Weights(trained, site.Name[^1]).ToShareable());
        }));
        var serving = sockets.Select(async socket =>
        {
            await using var process = await ExternalPeer.ConnectOnceThereAsync(socket);
            _ = process.ServeAsync(task =>
            {
                var values = MemoryMarshal.Cast<byte, float>(task.Content).ToArray();
                if (task.Head["name"].AsText() == TaskNames.Validate) return (Metrics(task, values[9]), []);
                var (site, round) = (task.Head["site"].AsText(), task.Head["round"].AsInteger());
                for (var i = 0; i < values.Length; i++) values[i] = Step(values[i], site, round);
                return (
                    task.Answer(DataKind.Weights, ("num_steps_current_round", site[^1])),
                    MemoryMarshal.AsBytes<float>(values).ToArray());
            });
            return await process.Connection.Ended;
        }).ToArray();
        var external = await RunAsync(site => ExternalExecutor.Listen(sockets[site.Index]));
        Assert.That(external, Is.EqualTo(plain));
        foreach (var end in await Task.WhenAll(serving).WaitAsync(Patience.Long))
            Assert.That(end, Is.EqualTo(new ConnectionEnd(ConnectionEndKind.ClosedByPeer, "the site is done")));
    }

    private static FlareMap Metrics(ExternalTask task, double accuracy) => new()
    {
        ["task"] = task.Number,
        ["body"] = new FlareMap { ["kind"] = 3, ["values"] = new FlareMap { ["accuracy"] = accuracy } },
    };

    [Test]
    public async Task A_process_that_dies_in_mid_training_and_comes_back_is_given_the_task_again()
    {
        var transport = Unix();
        var logged = new LogRecorder();
        await using var executor = ExternalExecutor.Listen(transport, logging: logged, time: Standing);
        var first = await ExternalPeer.ConnectAsync(transport);
        var answering = Give(executor);
        var given = await first.TaskAsync();
        await first.DieAsync();
        await using var second = await ExternalPeer.ConnectAsync(transport);
        var again = await second.TaskAsync();
        Assert.That(again.Content, Is.EqualTo(given.Content));
        Assert.That(again.Head["seed"], Is.EqualTo(given.Head["seed"]));
        Assert.That(again.Number, Is.GreaterThan(given.Number));
        await second.SayAsync(again.Answer(DataKind.Weights), Doubled(again));
        var data = Dxo.From(await answering.WaitAsync(Patience.Long));
        Assert.That(data.Tensors["w"].ToArray<float>(), Is.EqualTo(new float[] { 2, 4, 6 }));
        Assert.That(logged.Entries.Select(e => e.Message), Has.Some.Contains(
            "train is given again once a process is connected, for time 2 of 3"));
    }

    // A process that comes before the end of the one before is noticed waits by this for as long as that takes.
    private static SteppedTime Standing => new(DateTimeOffset.UnixEpoch);

    [Test]
    public async Task A_process_that_comes_while_the_one_before_goes_takes_its_place()
    {
        var (transport, logged) = (Unix(), new LogRecorder());
        await using var executor = ExternalExecutor.Listen(transport, logging: logged, time: Standing);
        var first = await ExternalPeer.ConnectAsync(transport);
        var answering = Give(executor);
        await first.TaskAsync();
        await using var second = await ExternalPeer.ConnectAsync(transport);
        await first.DieAsync();
        var again = await second.TaskAsync();
        await second.SayAsync(again.Answer(DataKind.Weights), Doubled(again));
        await answering.WaitAsync(Patience.Long);
        Assert.That(logged.Entries.Select(e => e.Message), Has.None.Contains("A second process wanted"));
    }

    [Test]
    public async Task A_task_that_every_process_dies_of_fails_in_words()
    {
        var transport = Unix();
        await using var executor = ExternalExecutor.Listen(transport, new() { MaxAttempts = 2 }, time: Standing);
        var answering = Give(executor);
        for (var i = 0; i < 2; i++)
        {
            var process = await ExternalPeer.ConnectAsync(transport);
            await process.TaskAsync();
            await process.DieAsync();
        }
        var e = Assert.CatchAsync<FlareException>(() => answering.WaitAsync(Patience.Long))!;
        Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.ExternalProcess));
        Assert.That(e.Message, Does.Contain("was given the task 2 times and went away each time").And.Contain("gone"));
    }

    [Test]
    public async Task A_process_that_does_not_come_at_all_fails_the_task_in_words()
    {
        var time = new ManualTime();
        await using var executor = ExternalExecutor.Listen(Unix(), time: time);
        var answering = Give(executor);
        await time.TimerAsync(TimeSpan.FromSeconds(30));
        time.Advance(TimeSpan.FromSeconds(30));
        var e = Assert.CatchAsync<FlareException>(() => answering.WaitAsync(Patience.Long))!;
        Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.ExternalProcess));
        Assert.That(e.Message, Does.StartWith($"No process has connected to {executor.Address} within 30 s: start"));
    }

    [Test]
    public async Task What_goes_wrong_in_the_process_is_told_as_an_executors_error_is()
    {
        var transport = Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var process = await ExternalPeer.ConnectAsync(transport);
        foreach (var (code, due) in new (int?, ReturnCode)[]
            { (null, ReturnCode.ExecutionException), (14, ReturnCode.TaskUnknown) })
        {
            var answering = Give(executor);
            var task = await process.TaskAsync();
            var head = new FlareMap { ["task"] = task.Number, ["error"] = "ValueError: the disk is full" };
            if (code is { } number) head["code"] = number;
            await process.SayAsync(head, []);
            var answer = await answering.WaitAsync(Patience.Long);
            Assert.That(answer.ReturnCode, Is.EqualTo(due));
            Assert.That(answer.Error!.Message, Is.EqualTo("ValueError: the disk is full"));
        }
    }

    [Test]
    public async Task A_process_is_told_of_an_abort_and_its_late_answer_is_dropped()
    {
        var transport = Unix();
        await using var executor = ExternalExecutor.Listen(transport);
        await using var process = await ExternalPeer.ConnectAsync(transport);
        using var abort = new CancellationTokenSource();
        var aborted = Give(executor, abort: abort.Token);
        var first = await process.TaskAsync();
        await abort.CancelAsync();
        Assert.CatchAsync<OperationCanceledException>(() => aborted.WaitAsync(Patience.Long));
        var message = await process.MessageAsync();
        Assert.That((message["say"].AsText(), message["task"].AsInteger()), Is.EqualTo(("cancel", first.Number)));

        var answering = Give(executor);
        var second = await process.TaskAsync();
        var late = Assert.CatchAsync<FrameException>(async () =>
        {
            await process.SayAsync(first.Answer(DataKind.Weights), first.Content);
            await process.SayAsync(first.Answer(DataKind.Weights), new byte[9 << 20]); // more than goes out at once
        })!;
        Assert.That(late.Message, Does.Contain($"task {first.Number} is not waited for any more"));
        await process.SayAsync(second.Answer(DataKind.Weights), Doubled(second));
        var data = Dxo.From(await answering.WaitAsync(Patience.Long));
        Assert.That(data.Tensors["w"].ToArray<float>(), Is.EqualTo(new float[] { 2, 4, 6 }));
    }

    [Test]
    public async Task A_process_that_takes_nothing_does_not_hold_up_an_abort()
    {
        var transport = Unix();
        var day = TimeSpan.FromDays(1);
        var patient = new ExternalOptions().Frames with { IdleTimeout = day, StallTimeout = day };
        await using var executor = ExternalExecutor.Listen(transport, new() { Frames = patient });
        await using var pipe = await transport.ConnectAsync(default);
        await pipe.Output.WriteAsync(Frames.RawFrames.Hello(head: 1 << 20, window: 1 << 30));
        using var abort = new CancellationTokenSource();
        var answering = Give(executor, Dxo.Weights(StateDict.Create(("w", new float[16 << 20]))).ToShareable(),
            abort: abort.Token);
        var read = await pipe.Input.ReadAtLeastAsync(1000); // it has begun; nobody reads on
        pipe.Input.AdvanceTo(read.Buffer.Start);
        await abort.CancelAsync();
        Assert.CatchAsync<OperationCanceledException>(() => answering.WaitAsync(Patience.Long));
    }

    [Test]
    public async Task A_process_that_never_answers_fails_the_task_after_its_time()
    {
        var transport = Unix();
        await using var executor = ExternalExecutor.Listen(
            transport, new() { TaskTimeout = TimeSpan.FromMilliseconds(50) });
        await using var process = await ExternalPeer.ConnectAsync(transport);
        var e = Assert.CatchAsync<FlareException>(() => Give(executor).WaitAsync(Patience.Long))!;
        Assert.That(e.Message, Does.Contain("has not answered within 0.05 s (TaskTimeout)"));
        Assert.That((await process.MessageAsync())["say"].AsText(), Is.EqualTo("cancel"));
    }

    [Test]
    public async Task A_second_process_is_refused_in_words_while_the_first_is_there()
    {
        var transport = Unix();
        var logged = new LogRecorder();
        await using var executor = ExternalExecutor.Listen(transport, logging: logged);
        var first = await ExternalPeer.ConnectAsync(transport);
        var answering = Give(executor);
        await first.TaskAsync(); // it has been let in
        await using var second = await ExternalPeer.ConnectAsync(transport);
        var end = await second.Connection.Ended.WaitAsync(Patience.Long);
        Assert.That(end.Kind, Is.EqualTo(ConnectionEndKind.ClosedByPeer));
        Assert.That(end.Reason, Does.StartWith("another process is connected"));
        Assert.That(executor.IsConnected, Is.True);
        var strange = await transport.ConnectAsync(default);
        await strange.DisposeAsync(); // without a hello
        await EntryAsync("was given no task of the site's");
        await first.DisposeAsync();
        await EntryAsync("A second process wanted");
        await EntryAsync("The process at");
        Assert.That(logged.Entries.Count(e => e.Message.StartsWith("The process at", StringComparison.Ordinal)),
            Is.EqualTo(1), "the one that got tasks");
        Assert.That(answering.IsCompleted, Is.False);

        async Task EntryAsync(string part)
        {
            using var patience = new CancellationTokenSource(Patience.Long);
            while (!logged.Entries.Any(e => e.Message.Contains(part))) await Task.Delay(1, patience.Token);
        }
    }

    [Test]
    public void Options_that_cannot_be_are_listed()
    {
        var e = Assert.Throws<FlareException>(() => ExternalExecutor.Listen(Unix(), new()
        {
            MaxAttempts = 0, ProcessTimeout = TimeSpan.Zero, TaskTimeout = TimeSpan.FromSeconds(-3),
            MaxAnswerBytes = -1, Frames = new() { MaxStreams = 0 },
        }))!;
        Assert.That(e.ErrorId, Is.EqualTo(ErrorIds.Configuration));
        foreach (var name in new[] { "MaxAttempts", "ProcessTimeout", "TaskTimeout", "MaxAnswerBytes", "MaxStreams" })
            Assert.That(e.Message, Does.Contain(name));
    }
}
