namespace Flare;

/// <content>
/// Files in Hugging Face's safetensors format (https://huggingface.co/docs/safetensors), which Python reads with
/// <c>safetensors.torch.load_file</c>. Every dtype has its place there; order and roles of the tensors are kept in the
/// file's metadata. A file from elsewhere loads with its tensors in the order of their data, all as parameters.
/// </content>
public sealed partial class StateDict
{
    /// <summary>
    /// Writes the tensors to a file. It appears, or takes the place of an earlier one, whose Unix permissions it gets,
    /// when it is complete and on the disk.
    /// </summary>
    /// <param name="path">The file's path, by convention with the ending <c>.safetensors</c>.</param>
    /// <param name="cancellation">Ends the writing; the earlier file stays.</param>
    /// <exception cref="SafetensorsException">
    /// A tensor's name is the format's own, there are more than 131,072 tensors, or the names take more than 100 MB.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written; where its folder is missing,
    /// <see cref="DirectoryNotFoundException"/>.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public Task SaveAsync(string path, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Detached(() => SafetensorsWriter.WriteFileAsync(this, path, async: true, cancellation));
    }

    /// <summary>Writes the tensors to a stream, from where it stands; it stays open and is not flushed.</summary>
    /// <inheritdoc cref="SaveAsync(string, CancellationToken)"/>
    public Task SaveAsync(Stream stream, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Detached(() => SafetensorsWriter.WriteAsync(this, stream, NameOf(stream), async: true, cancellation));
    }

    /// <inheritdoc cref="SaveAsync(string, CancellationToken)"/>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafetensorsWriter.WriteFileAsync(this, path, async: false, default).GetAwaiter().GetResult();
    }

    /// <inheritdoc cref="SaveAsync(Stream, CancellationToken)"/>
    public void Save(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        SafetensorsWriter.WriteAsync(this, stream, NameOf(stream), async: false, default).GetAwaiter().GetResult();
    }

    /// <summary>
    /// Reads a file: at most 131,072 tensors, described by at most 100 MB, which takes up to six times that for the
    /// moment.
    /// </summary>
    /// <param name="path">The file's path.</param>
    /// <param name="cancellation">Ends the reading.</param>
    /// <exception cref="SafetensorsException">The file is not well-formed, is cut short, or holds what a state dict
    /// cannot.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="OutOfMemoryException">The file is well-formed and its tensors do not fit.</exception>
    public static Task<StateDict> LoadAsync(string path, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Detached(() => SafetensorsReader.ReadFileAsync(path, async: true, cancellation));
    }

    /// <summary>
    /// Reads from a stream, from where it stands to behind the last tensor; it stays open. From a stream that cannot
    /// seek, memory is taken only as bytes arrive, which at the end takes the model's size twice.
    /// </summary>
    /// <param name="stream">The stream.</param>
    /// <param name="cancellation">Ends the reading.</param>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)"/>
    public static Task<StateDict> LoadAsync(Stream stream, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Detached(() => new SafetensorsReader(stream, NameOf(stream), async: true, cancellation).ReadAsync());
    }

    /// <inheritdoc cref="LoadAsync(string, CancellationToken)"/>
    public static StateDict Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return SafetensorsReader.ReadFileAsync(path, async: false, default).GetAwaiter().GetResult();
    }

    /// <inheritdoc cref="LoadAsync(Stream, CancellationToken)"/>
    public static StateDict Load(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return new SafetensorsReader(stream, NameOf(stream), async: false, default).ReadAsync().GetAwaiter()
            .GetResult();
    }

    // Files have nothing to do with whoever asks for them: a window's thread that blocks on the task must not be what
    // it waits for. Begun without the caller's context, nothing within comes back to it.
    private static T Detached<T>(Func<T> begin) where T : Task
    {
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            return begin();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    private static string NameOf(Stream stream) => stream is FileStream file ? file.Name : "the stream";
}
