using Flare.Crypto;
using Flare.Workflows;

namespace Flare.Tests.Crypto;

/// <summary>Privacy filters see plain values, on whichever side of the line that encrypts they are added.</summary>
public class FilterOrderTests
{
    private const float Bound = 0.0625f;

    [Test]
    public async Task A_clip_filter_clips_wherever_it_is_added()
    {
        // The oracle has no filter: its trainer clips.
        using var expected = await RunAsync(before: false, after: false, Clip);
        using var before = await RunAsync(before: true, after: false);
        using var after = await RunAsync(before: false, after: true);
        using var unclipped = await RunAsync(before: false, after: false);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(before.ContentEquals(expected));
            Assert.That(after.ContentEquals(expected));
            Assert.That(unclipped.ContentEquals(expected), Is.False);
        }
    }

    private static async Task<StateDict> RunAsync(bool before, bool after, Action<StateDict>? spoil = null)
    {
        using var encryption = new HomomorphicEncryption(EncryptedSites.Policy);
        await using var federation = Federation.InProcess(f =>
        {
            f.AddSites(3, site => EncryptedSites.Trainer(site.Index, DataKind.WeightDiff, spoil: spoil))
                .UseController(new FedAvg { Rounds = 2, MinSites = 3 });
            if (before) AddFilters(f);
            f.UseHomomorphicEncryption(encryption);
            if (after) AddFilters(f);
        });
        var rounds = await federation.RunToEndAsync(EncryptedSites.Model());
        Assert.That(rounds.Select(r => r.Accepted), Is.EqualTo(new[] { 3, 3 }));
        return encryption.Decrypt(federation.Model);
    }

    private static void AddFilters(FederationBuilder federation) => federation.ConfigureSites((site, _) => site
        .AddFilter(FilterPlace.SiteIn, new OnlyPlain(), TaskNames.Train, TaskNames.Validate)
        .AddFilter(FilterPlace.SiteOut, new ClipFilter(), TaskNames.Train));

    private static void Clip(StateDict difference)
    {
        foreach (ref var value in difference["body.weight"].AsSpan<float>()) value = Math.Clamp(value, -Bound, Bound);
    }

    /// <summary>As a privacy filter does: takes what it knows, passes on what it does not.</summary>
    private sealed class ClipFilter : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
        {
            var data = Dxo.From(message);
            if (data.Kind != DataKind.WeightDiff) return ValueTask.FromResult(message);
            var clipped = data.Tensors.Clone();
            Clip(clipped);
            return ValueTask.FromResult(new Dxo(data.Kind, clipped, data.Values, data.Meta).ToShareable());
        }
    }

    private sealed class OnlyPlain : Filter
    {
        public override ValueTask<Shareable> ProcessAsync(Shareable message, FLContext context, CancellationToken abort)
        {
            Assert.That(HomomorphicEncryption.IsEncrypted(Dxo.From(message).Tensors), Is.False);
            return ValueTask.FromResult(message);
        }
    }
}
