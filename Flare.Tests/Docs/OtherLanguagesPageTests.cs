using System.Buffers;
using System.Text.RegularExpressions;
using Flare.Testing;
using Flare.Tests.Federations;
using Flare.Tests.Solution;
using Flare.Tests.Transport.Frames;
using Flare.Transport;

namespace Flare.Tests.Docs;

/// <summary>docs/other-languages.md: its code, its numbers, and its example, byte for byte.</summary>
[NonParallelizable] // its socket lies where the process is
public partial class OtherLanguagesPageTests
{
    private static string Page => File.ReadAllText(Path.Combine(PackageTableTests.Root, "docs/other-languages.md"));

    [Test]
    public async Task A_site_whose_work_a_process_does_is_built_in_four_lines()
    {
        var (before, folder) = (Environment.CurrentDirectory, Directory.CreateTempSubdirectory("flare-page-"));
        Environment.CurrentDirectory = folder.FullName;
        try
        {
            await BuildAsync(new CertifiedName(FlareRole.Site, "hospital-1"));
        }
        finally
        {
            Environment.CurrentDirectory = before;
            folder.Delete(recursive: true);
        }
    }

    private static async Task BuildAsync(CertifiedName identity)
    {
        await using var plan = new SiteBuilder(identity.Name).UseJobId("digits").UseSeed(42)
            .UseExecutor(() => ExternalExecutor.Listen(SocketTransport.Unix("hospital-1.sock")))
            .Build();
        Assert.That(plan.Name, Is.EqualTo("hospital-1"));
    }

    [Test]
    public void Types_of_frames_are_those_of_the_code_and_so_are_types_of_elements()
    {
        var stated = TypeRow().Matches(Page).ToDictionary(m => m.Groups[2].Value, m => Number(m.Groups[1].Value));
        Assert.That(stated, Is.EquivalentTo(Enum.GetValues<FrameType>().ToDictionary(t => t.ToString(), t => (int)t)));
        var types = DTypeCell().Matches(Page).ToDictionary(m => m.Groups[2].Value, m => Number(m.Groups[1].Value));
        Assert.That(types, Is.EquivalentTo(
            Enum.GetValues<DType>().ToDictionary(t => t.ToString().ToLowerInvariant(), t => (int)t)));
    }

    [Test]
    public async Task The_example_is_what_the_real_encoder_says_and_what_it_takes()
    {
        var pipes = new PipePair();
        await using var executor = ExternalExecutor.Listen(new OnePipe(pipes.B));
        var answering = Task.Run(async () => await executor.ExecuteAsync(
            TaskNames.Train, Dxo.Weights(StateDict.Create(("w", [1, 2]))).ToShareable(),
            TestContexts.ForSite("hospital-1", round: 3, seed: 7), default));
        var (site, process) = (Bytes("site"), Bytes("process"));
        var hello = process.AsMemory(0, 40);
        await pipes.A.Output.WriteAsync(hello);
        var read = await pipes.A.Input.ReadAtLeastAsync(site.Length).AsTask().WaitAsync(Patience.Long);
        Assert.That(Convert.ToHexString(read.Buffer.ToArray()), Is.EqualTo(Convert.ToHexString(site)));
        pipes.A.Input.AdvanceTo(read.Buffer.End);
        await pipes.A.Output.WriteAsync(process.AsMemory(40));
        var answer = Dxo.From(await answering.WaitAsync(Patience.Long));
        Assert.That(answer.Kind, Is.EqualTo(DataKind.WeightDiff));
        Assert.That(answer.Tensors["w"].ToArray<float>(), Is.EqualTo(new float[] { 0.5f, -0.5f }));
        Assert.That(answer.Meta["num_steps_current_round"].AsInteger(), Is.EqualTo(10));
        await pipes.A.Output.WriteAsync(RawFrames.Close("done"));
        await pipes.A.Output.CompleteAsync();
    }

    private static byte[] Bytes(string who)
    {
        var block = Page.Split($"```{who}\n")[1].Split("```")[0];
        var text = string.Concat(block.Split('\n').Select(line => line.Split('#')[0])).Replace(" ", "");
        return Convert.FromHexString(text);
    }

    private static int Number(string text) => int.Parse(text, System.Globalization.CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^\| (\d+) \| ([A-Z][a-z]+) \|", RegexOptions.Multiline)]
    private static partial Regex TypeRow();

    [GeneratedRegex(@"\| (\d+) \| (b?float\d+|u?int\d+|bool)")]
    private static partial Regex DTypeCell();

    /// <summary>A process that connects once, over a pipe.</summary>
    private sealed class OnePipe(System.IO.Pipelines.IDuplexPipe pipe) : IFlareTransport, IFlareListener
    {
        private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private FlareConnection? _next = new(pipe.Input, pipe.Output, null, "a pipe", true, () => default);

        public string Address => "a pipe";

        public IFlareListener Listen() => this;

        public ValueTask<FlareConnection> ConnectAsync(CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public async ValueTask<FlareConnection?> AcceptAsync(CancellationToken cancellationToken)
        {
            if (Interlocked.Exchange(ref _next, null) is { } connection) return connection;
            await _closed.Task;
            return null;
        }

        public ValueTask DisposeAsync()
        {
            _closed.TrySetResult();
            return default;
        }
    }
}
