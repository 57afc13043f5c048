namespace Flare;

/// <summary>
/// A safetensors file is not what the format asks for, or holds what a <see cref="StateDict"/> cannot. The message
/// names the file, the tensor where it is one's fault, and the remedy. Errors of the disk or the stream stay
/// <see cref="IOException"/>s.
/// </summary>
public sealed class SafetensorsException : FlareException
{
    /// <summary>Creates an error.</summary>
    /// <param name="message">The file, the tensor, what is wrong and what to do.</param>
    /// <param name="inner">The cause, if another exception was.</param>
    public SafetensorsException(string message, Exception? inner = null)
        : base(ErrorIds.Safetensors, message, inner) { }
}
