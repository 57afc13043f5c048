using Flare.Transport;

namespace Flare.Testing;

/// <summary>Whole federations on a <see cref="SimulationLoop"/>.</summary>
public static class SimulationBuilders
{
    /// <summary>
    /// Has what is built run on a simulation: its clock, its scheduler, loops of jobs in its one thread. A federation
    /// is then run from within <see cref="SimulationLoop.Run"/>, and the same seed gives the same run.
    /// </summary>
    /// <param name="builder">The builder of a federation, a server or a site.</param>
    /// <param name="loop">The simulation.</param>
    /// <returns>The builder.</returns>
    public static TBuilder RunOn<TBuilder>(this JobBuilder<TBuilder> builder, SimulationLoop loop)
        where TBuilder : JobBuilder<TBuilder>
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(loop);
        return builder.UseThreads(_ => new SimulatedJobLoop(loop), loop.Compute, loop.NewProcess)
            .UseTime(loop.Time);
    }

    /// <summary>Has a federation in one process talk over simulated connections, in the real frames.</summary>
    /// <param name="builder">The federation, which also has <see cref="RunOn"/>.</param>
    /// <param name="transport">The connections.</param>
    /// <param name="limits">What they take at most; the defaults if left out.</param>
    /// <exception cref="FlareException">The limits contradict themselves.</exception>
    public static FederationBuilder UseTransport(
        this FederationBuilder builder, SimulatedTransport transport, LinkLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(transport);
        var host = transport.Host(limits);
        return builder.UseLinks(_ => Loopback.Over(transport, transport.From, host));
    }
}
