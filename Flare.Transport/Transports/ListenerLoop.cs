using Microsoft.Extensions.Logging;

namespace Flare.Transport;

/// <summary>Takes connections of a listener for as long as it gives any.</summary>
internal static class ListenerLoop
{
    /// <summary>
    /// Ends once the listener is disposed of, or when told to stop. A listener may be the application's: one failure of
    /// it is logged, and does not keep everybody out.
    /// </summary>
    public static async Task RunAsync(
        IFlareListener listener, Action<FlareConnection> take, TimeProvider time, ILogger logger,
        CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            FlareConnection? connection;
            try
            {
                connection = await listener.AcceptAsync(stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                Log.Unexpected(logger, e);
                await Task.Delay(TimeSpan.FromSeconds(1), time, stop).ConfigureAwait(
                    ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
                continue;
            }
            if (connection is null) return;
            take(connection);
        }
    }
}
