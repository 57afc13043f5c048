namespace Flare;

/// <summary>Disposes of what a factory made, whatever it is.</summary>
internal static class Disposal
{
    /// <summary>By <see cref="IAsyncDisposable"/> where there is one, else by <see cref="IDisposable"/>.</summary>
    public static ValueTask DisposeAsync(object made)
    {
        if (made is IAsyncDisposable asynchronous) return asynchronous.DisposeAsync();
        if (made is IDisposable disposable) disposable.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Disposes of each once, the last made first. One that throws keeps none of the others from it.</summary>
    /// <exception cref="AggregateException">Some threw.</exception>
    public static async ValueTask DisposeAllAsync(IEnumerable<object> made)
    {
        List<Exception>? failures = null;
        foreach (var one in made.Distinct(ReferenceEqualityComparer.Instance).Reverse())
        {
            try
            {
                await DisposeAsync(one!);
            }
            catch (Exception e)
            {
                (failures ??= []).Add(e);
            }
        }
        if (failures is not null) throw new AggregateException(failures);
    }
}
