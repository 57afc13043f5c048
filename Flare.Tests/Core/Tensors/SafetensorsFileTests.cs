using System.Runtime.Versioning;
using System.Text;
using Flare.Tests.Federations;

namespace Flare.Tests.Core.Tensors;

/// <summary>Models in files: whose they are, who may read them, and who waits for them.</summary>
public class SafetensorsFileTests
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private string _directory = "";

    [SetUp]
    public void Create() => _directory = Directory.CreateTempSubdirectory("flare-files-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(_directory, recursive: true);

    private string At(string name) => Path.Combine(_directory, name);

    private static async Task SaveAsync(StateDict model, string path, bool async)
    {
        if (async) await model.SaveAsync(path);
        else model.Save(path);
    }

    [Platform(Exclude = "Win", Reason = "Windows has no such modes."), UnsupportedOSPlatform("windows")]
    [Test]
    public async Task What_is_saved_over_a_file_may_be_read_and_written_by_the_same_people(
        [Values(Private, Private | UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead
            | UnixFileMode.OtherWrite, UnixFileMode.UserRead)]
        UnixFileMode mode,
        [Values(false, true)] bool async)
    {
        var (path, model) = (At("m.safetensors"), StateDict.Create(("w", [1f])));
        await SaveAsync(model, path, async);
        File.SetUnixFileMode(path, mode);
        model.Fill(2);
        await SaveAsync(model, path, async);
        Assert.That(File.GetUnixFileMode(path), Is.EqualTo(mode));
        Assert.That(StateDict.Load(path)["w"].ToArray<float>(), Is.EqualTo(new[] { 2f }));
        Assert.That(Directory.GetFiles(_directory), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void Errors_name_the_path_that_was_given([Values(false, true)] bool async)
    {
        var path = Path.Combine(_directory, "missing", "m.safetensors");
        Assert.That(
            async () => await SaveAsync(StateDict.Create(("w", [1f])), path, async),
            Throws.TypeOf<DirectoryNotFoundException>().With.Message.Contains($"'{path}'").And.Message.Not.Contains(
                ".tmp"));
        File.WriteAllText(At("file"), "");
        Assert.That(
            async () => await SaveAsync(
                StateDict.Create(("w", [1f])), Path.Combine(_directory, "file", "m.safetensors"), async),
            Throws.InstanceOf<IOException>().With.Message.Not.Contains(".tmp"));
    }

    /// <summary>A window's thread while it blocks: what is posted to it waits.</summary>
    private sealed class Window : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state) { }
    }

    [Test]
    public async Task A_windows_thread_can_wait_for_files_and_streams()
    {
        var path = At("m.safetensors");
        var waited = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var window = new Thread(() =>
        {
            try
            {
                SynchronizationContext.SetSynchronizationContext(new Window());
                var model = new StateDict(new TensorLayout(new TensorSpec("w", DType.Float32, [2_000_000])));
                model.SaveAsync(path).GetAwaiter().GetResult();
                StateDict.LoadAsync(path).GetAwaiter().GetResult();
                using (var file = new FileStream(
                    At("n.safetensors"), FileMode.Create, FileAccess.ReadWrite, FileShare.None, 0, useAsync: true))
                {
                    model.SaveAsync(file).GetAwaiter().GetResult();
                    file.Position = 0;
                    StateDict.LoadAsync(file).GetAwaiter().GetResult();
                }
                Assert.That(
                    SynchronizationContext.Current, Is.InstanceOf<Window>(),
                    "the caller's context is the caller's again");
                waited.SetResult();
            }
            catch (Exception e)
            {
                waited.SetException(e);
            }
        }) { IsBackground = true };
        window.Start();
        await waited.Task.WaitAsync(Patience.Long);
    }

    [Test]
    public void Metadata_that_is_null_is_none()
    {
        var header = """{"__metadata__":null,"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""";
        using var model = StateDict.Load(Files.Of(header, [0, 0, 128, 63]));
        Assert.That(model["w"].ToArray<float>(), Is.EqualTo(new[] { 1f }));
    }

    private static StringBuilder Repeated(string begin, Func<int, string> entry, string end, int bytes)
    {
        var json = new StringBuilder(begin);
        for (var i = 0; json.Length < bytes; i++) json.Append(i == 0 ? "" : ",").Append(entry(i));
        return json.Append(end);
    }

    [TestCase("tensors"), TestCase("entries of metadata"), TestCase("names in a list of the metadata")]
    public void A_header_takes_only_so_many_times_its_size(string what)
    {
        const int size = 16_000_000;
        var header = (what switch
        {
            "tensors" => Repeated(
                "{", i => "\"" + i + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", "}", size),
            "entries of metadata" => Repeated("""{"__metadata__":{""", i => $"\"{i}\":\"\"", "}}", size),
            _ => Repeated("""{"__metadata__":{"flare.buffers":"[""", i => $"\\\"{i}\\\"", "]\"}}", size),
        }).ToString();
        var file = Files.Of(header, []);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(
            () => StateDict.Load(file),
            Throws.InstanceOf<SafetensorsException>().With.Message.Contains($"more than 131,072 {what}"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(8L * size));
    }

    [Test]
    public void A_model_that_could_not_be_read_back_is_not_written()
    {
        using var model = new StateDict(
            new TensorLayout(Enumerable.Range(0, 131_073).Select(i => new TensorSpec($"{i}", DType.UInt8, [0]))));
        Assert.That(
            () => model.Save(Stream.Null),
            Throws.InstanceOf<SafetensorsException>().With.Message.Contains("in several files"));
    }
}
